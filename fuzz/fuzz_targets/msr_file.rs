//! Steps on the MSRs of any guest.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!(vcpu_fuzz::msr_file);
