//! Templates, printed and read again.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
