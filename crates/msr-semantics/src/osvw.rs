//! OS-visible workarounds: what OSVW_ID_LENGTH and OSVW_STATUS say together, and what they may say to a guest that will move.
//!
//! An erratum below the length has a bit that tells whether software has to work around it; of one beyond the length the CPU does not
//! know, and software decides by family and model (APM vol. 2, "OS-Visible Workarounds"; Linux, arch/x86/kernel/cpu/amd.c).

/// The two registers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Osvw {
    /// How many errata the status speaks of.
    pub length: u16,
    /// One bit per erratum.
    pub status: u64,
}

/// What a CPU says about an erratum.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Erratum {
    /// Software has to work around it.
    Present,
    /// There is nothing to work around.
    Absent,
    /// The CPU does not know it.
    Unknown,
}

/// Errata that one status register has room for.
const BITS: u16 = 64;

impl Osvw {
    /// What a CPU without OSVW says: nothing.
    pub const NONE: Self = Self { length: 0, status: 0 };

    /// What is said about an erratum.
    pub const fn erratum(&self, id: u16) -> Erratum {
        if id >= self.length || id >= BITS {
            Erratum::Unknown
        } else if self.status >> id & 1 == 1 {
            Erratum::Present
        } else {
            Erratum::Absent
        }
    }

    /// The same without what is beyond the length and means nothing.
    #[must_use]
    pub const fn plain(self) -> Self {
        let length = if self.length > BITS { BITS } else { self.length };
        let known = if length == BITS { u64::MAX } else { (1 << length) - 1 };
        Self { length, status: self.status & known }
    }

    /// What stock KVM starts a guest with on machines that say this together (`svm_init_osvw`, arch/x86/kvm/svm/svm.c): it works around
    /// errata 1 and 2 itself, knows four at most, and assumes erratum 0 on family 10H parts that do not tell.
    #[must_use]
    pub const fn for_kvm_guest(self, family: u32) -> Self {
        let told = if self.length > 4 { 4 } else { self.length };
        let status = Self { length: told, ..self }.plain().status & !0b110;
        let assumed = if told == 0 && family == 0x10 { 1 } else { 0 };
        Self { length: if told < 3 { 3 } else { told }, status: status | assumed }
    }
}

/// What a guest may be told that will run on both: an erratum of either is announced, and what one of them does not know is unknown.
///
/// Commutative, associative and idempotent, so that a pool folds in any order.
#[must_use]
pub const fn merge(a: Osvw, b: Osvw) -> Osvw {
    let length = if a.length < b.length { a.length } else { b.length };
    Osvw { length, status: a.plain().status | b.plain().status }.plain()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn osvw(length: u16, status: u64) -> Osvw {
        Osvw { length, status }
    }

    /// Length, status, erratum, meaning: APM vol. 2, "OS-Visible Workarounds".
    #[test]
    fn the_length_limits_what_the_bits_mean() {
        let table = [
            (0, 0, 0, Erratum::Unknown),
            (0, u64::MAX, 0, Erratum::Unknown),
            (1, 0, 0, Erratum::Absent),
            (1, 1, 0, Erratum::Present),
            (1, 3, 1, Erratum::Unknown),
            (4, 0b1000, 3, Erratum::Present),
            (4, 0b1000, 4, Erratum::Unknown),
            (64, 1 << 63, 63, Erratum::Present),
            (100, 0, 70, Erratum::Unknown),
        ];
        for (length, status, id, expected) in table {
            assert_eq!(osvw(length, status).erratum(id), expected, "{length} {status:#x} {id}");
        }
    }

    /// kvm.md 7: OR of the status with the least length; bits beyond it mean nothing.
    #[test]
    fn pools() {
        let table = [
            (osvw(4, 0b0000), osvw(4, 0b0001), osvw(4, 0b0001)),
            (osvw(4, 0b1000), osvw(3, 0b0010), osvw(3, 0b0010)),
            (osvw(4, 0b1111), Osvw::NONE, Osvw::NONE),
            (osvw(5, 0b1_0000), osvw(5, 0), osvw(5, 0b1_0000)),
            (osvw(2, 0b1100), osvw(4, 0b0000), osvw(2, 0)),
        ];
        for (a, b, expected) in table {
            assert_eq!(merge(a, b), expected, "{a:?} {b:?}");
        }
    }

    /// kvm.md 4.6.
    #[test]
    fn what_kvm_starts_with() {
        let table = [
            (osvw(0, 0), 0x15, osvw(3, 0)),
            (osvw(0, 0), 0x10, osvw(3, 1)),
            (osvw(4, 0b1111), 0x10, osvw(4, 0b1001)),
            (osvw(5, 0b1_1000), 0x12, osvw(4, 0b1000)),
            (osvw(2, 0b0011), 0x11, osvw(3, 0b0001)),
            (osvw(1, 0b1000), 0x10, osvw(3, 0)),
        ];
        for (host, family, expected) in table {
            assert_eq!(host.for_kvm_guest(family), expected, "{host:?} {family:#x}");
        }
    }

    fn hosts() -> impl Strategy<Value = Osvw> {
        (0_u16..70, any::<u64>()).prop_map(|(length, status)| osvw(length, status))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_erratum_of_any_host_is_denied(hosts in prop::collection::vec(hosts(), 1..5), id in 0_u16..80) {
            let pool = hosts.iter().copied().reduce(merge).unwrap();
            let said: std::vec::Vec<Erratum> = hosts.iter().map(|host| host.erratum(id)).collect();
            match pool.erratum(id) {
                Erratum::Absent => prop_assert!(said.iter().all(|said| *said == Erratum::Absent)),
                Erratum::Present => prop_assert!(said.contains(&Erratum::Present) && !said.contains(&Erratum::Unknown)),
                Erratum::Unknown => prop_assert!(said.contains(&Erratum::Unknown)),
            }
        }

        #[test]
        fn pools_do_not_depend_on_order(a in hosts(), b in hosts(), c in hosts()) {
            prop_assert_eq!(merge(a, b), merge(b, a));
            prop_assert_eq!(merge(merge(a, b), c), merge(a, merge(b, c)));
            prop_assert_eq!(merge(a, a), a.plain());
        }
    }
}
