//! Which kind of core answers, on machines that have several.

use cpuid_db::Registers;

/// What tells the cores of a hybrid machine apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// The CPU does not say that it is one of several kinds.
    Uniform,
    /// Intel: core type and native model (1AH.EAX), and whether leaf 4 lists a cache of level 3, which low-power islands lack.
    Intel { native_model: u32, level_3: bool },
    /// AMD: core type, efficiency ranking and native model (8000_0026H.EBX\[31:16\]).
    Amd { native_model: u32 },
}

impl Kind {
    /// Asks the CPU that this runs on.
    pub(super) fn read(cpuid: impl Fn(u32, u32) -> Registers) -> Self {
        let basic = cpuid(0, 0).eax;
        if basic >= 0x1a && cpuid(7, 0).edx >> 15 & 1 == 1 {
            return Self::Intel { native_model: cpuid(0x1a, 0).eax, level_3: has_level_3(&cpuid) };
        }
        let extended = cpuid(0x8000_0000, 0).eax;
        if (0x8000_0026..0x8001_0000).contains(&extended) {
            let core = cpuid(0x8000_0026, 0);
            if core.eax >> 30 & 1 == 1 {
                return Self::Amd { native_model: core.ebx >> 16 };
            }
        }
        Self::Uniform
    }
}

/// Whether leaf 4 lists a cache of level 3 (EAX\[7:5\]) before its end (EAX\[4:0\] = 0).
fn has_level_3(cpuid: impl Fn(u32, u32) -> Registers) -> bool {
    const MOST: u32 = 16;
    let caches = (0..MOST).map(|subleaf| cpuid(4, subleaf).eax).take_while(|eax| eax & 0x1f != 0);
    caches.into_iter().any(|eax| eax >> 5 & 7 == 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A CPU with these maxima, 7.0.EDX, 1AH.EAX and 8000_0026H; caches of the given levels.
    fn kind(basic: u32, extended: u32, edx_7: u32, native: u32, core: (u32, u32), levels: &[u32]) -> Kind {
        Kind::read(|leaf, subleaf| match leaf {
            0 => Registers::new(basic, 0, 0, 0),
            4 => Registers::new(levels.get(subleaf as usize).map_or(0, |level| level << 5 | 1), 0, 0, 0),
            7 => Registers::new(0, 0, 0, edx_7),
            0x1a => Registers::new(native, 0, 0, 0),
            0x8000_0000 => Registers::new(extended, 0, 0, 0),
            0x8000_0026 => Registers::new(core.0, core.1, 0, 0),
            _ => Registers::ZERO,
        })
    }

    #[test]
    fn cores_are_told_apart() {
        const HYBRID: u32 = 1 << 15;
        let performance = Kind::Intel { native_model: 0x4000_0001, level_3: true };
        let low_power = Kind::Intel { native_model: 0x2000_0002, level_3: false };
        let cases = [
            (kind(0x20, 0, HYBRID, 0x4000_0001, (0, 0), &[1, 1, 2, 3]), performance),
            (kind(0x20, 0, HYBRID, 0x2000_0002, (0, 0), &[1, 1, 2]), low_power),
            // Without the hybrid bit, or without leaf 1AH, there is one kind.
            (kind(0x20, 0, 0, 0x4000_0001, (0, 0), &[3]), Kind::Uniform),
            (kind(0x16, 0, HYBRID, 0x4000_0001, (0, 0), &[3]), Kind::Uniform),
            (kind(0x10, 0x8000_0028, 0, 0, (1 << 30, 0x1001_0000), &[]), Kind::Amd { native_model: 0x1001 }),
            (kind(0x10, 0x8000_0028, 0, 0, (0, 0x1001_0000), &[]), Kind::Uniform),
            // An extended maximum that is the echo of another leaf announces nothing.
            (kind(0x10, 0xffff_ffff, 0, 0, (1 << 30, 0), &[]), Kind::Uniform),
        ];
        for (at, (found, expected)) in cases.into_iter().enumerate() {
            assert_eq!(found, expected, "case {at}");
        }
    }
}
