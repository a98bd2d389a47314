//! The reader of Propolis TOML.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
