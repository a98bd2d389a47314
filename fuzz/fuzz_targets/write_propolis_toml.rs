//! The writer of Propolis TOML, and its reader.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
