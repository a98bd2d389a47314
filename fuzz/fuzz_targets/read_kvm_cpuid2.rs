//! The reader of kvm_cpuid2.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
