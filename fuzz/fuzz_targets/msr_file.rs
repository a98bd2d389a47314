//! An MSR file under arbitrary guests and steps.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
