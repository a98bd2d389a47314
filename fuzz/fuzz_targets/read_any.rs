//! Files in any format.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
