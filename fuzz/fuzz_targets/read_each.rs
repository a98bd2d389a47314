//! Each reader by itself.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!(vcpu_fuzz::read_each);
