//! Who made the CPU, and which one it is.

use core::fmt;

use crate::Registers;

/// The maker of a CPU, by the twelve characters of leaf 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Vendor {
    /// `GenuineIntel`.
    Intel,
    /// `AuthenticAMD`.
    Amd,
    /// `HygonGenuine`; follows AMD.
    Hygon,
    /// `  Shanghai  `.
    Zhaoxin,
    /// `CentaurHauls`.
    Centaur,
    /// `GenuineTMx86` or `TransmetaCPU`.
    Transmeta,
    /// Any other string.
    Other([u8; 12]),
}

const NAMED: [(Vendor, &[u8; 12]); 7] = [
    (Vendor::Intel, b"GenuineIntel"),
    (Vendor::Amd, b"AuthenticAMD"),
    (Vendor::Hygon, b"HygonGenuine"),
    (Vendor::Zhaoxin, b"  Shanghai  "),
    (Vendor::Centaur, b"CentaurHauls"),
    (Vendor::Transmeta, b"GenuineTMx86"),
    (Vendor::Transmeta, b"TransmetaCPU"),
];

impl Vendor {
    /// Reads the vendor from leaf 0 (EBX, EDX, ECX in this order).
    pub fn from_leaf_0(registers: &Registers) -> Self {
        let mut string = [0; 12];
        let words = [registers.ebx, registers.edx, registers.ecx];
        for (bytes, word) in string.chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Self::from_bytes(string)
    }

    /// The vendor with this string.
    pub fn from_bytes(string: [u8; 12]) -> Self {
        let known = NAMED.iter().find(|(_, name)| **name == string);
        known.map_or(Self::Other(string), |(vendor, _)| *vendor)
    }

    /// The twelve characters of leaf 0.
    pub fn bytes(self) -> [u8; 12] {
        if let Self::Other(string) = self {
            return string;
        }
        NAMED.iter().find(|(vendor, _)| *vendor == self).map_or([0; 12], |(_, name)| **name)
    }

    /// Leaf 0 of this vendor with this maximum basic leaf.
    pub fn leaf_0(self, max: u32) -> Registers {
        let mut words = [0; 3];
        for (word, bytes) in words.iter_mut().zip(self.bytes().chunks_exact(4)) {
            *word = u32::from_le_bytes(<[u8; 4]>::try_from(bytes).unwrap_or_default());
        }
        let [ebx, edx, ecx] = words;
        Registers::new(max, ebx, ecx, edx)
    }

    /// Whether AMD's rules hold: AMD itself and Hygon (`guest_cpuid_is_amd_compatible`, arch/x86/kvm/cpuid.h).
    pub const fn is_amd_compatible(self) -> bool {
        matches!(self, Self::Amd | Self::Hygon)
    }

    /// This vendor as a set of one.
    pub const fn set(self) -> Vendors {
        match self {
            Self::Intel => Vendors::INTEL,
            Self::Amd => Vendors::AMD,
            Self::Hygon => Vendors::HYGON,
            Self::Zhaoxin => Vendors::ZHAOXIN,
            Self::Centaur => Vendors::CENTAUR,
            Self::Transmeta => Vendors::TRANSMETA,
            Self::Other(_) => Vendors::OTHER,
        }
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.bytes() {
            let shown = if byte.is_ascii_graphic() || byte == b' ' { byte as char } else { '?' };
            fmt::Write::write_char(f, shown)?;
        }
        Ok(())
    }
}

bitflags::bitflags! {
    /// The vendors that define a bit.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub struct Vendors: u8 {
        /// Intel.
        const INTEL = 1;
        /// AMD.
        const AMD = 1 << 1;
        /// Hygon.
        const HYGON = 1 << 2;
        /// Zhaoxin.
        const ZHAOXIN = 1 << 3;
        /// Centaur (VIA).
        const CENTAUR = 1 << 4;
        /// Transmeta.
        const TRANSMETA = 1 << 5;
        /// Anybody else.
        const OTHER = 1 << 6;
    }
}

/// EAX of leaf 1: which CPU this is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Signature(pub u32);

impl Signature {
    /// The family as people say it: the extended field is added when the base field is 15 (SDM vol. 2A, CPUID leaf 1).
    pub const fn family(self) -> u32 {
        let base = self.0 >> 8 & 0xf;
        if base == 0xf { base + (self.0 >> 20 & 0xff) } else { base }
    }

    /// The model as people say it: the extended field counts from family 6 on.
    pub const fn model(self) -> u32 {
        let base = self.0 >> 4 & 0xf;
        if self.0 >> 8 & 0xf >= 6 { (self.0 >> 16 & 0xf) << 4 | base } else { base }
    }

    /// The stepping.
    pub const fn stepping(self) -> u32 {
        self.0 & 0xf
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.family(), self.model(), self.stepping())
    }
}
