//! Words to features, fields and places.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
