//! The reader of QMP replies.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
