//! Vendor, signature and name of a CPU: values that are chosen, never merged.

use cpuid_db::{Policy, Signature, Vendor};

/// Who a CPU says it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The maker.
    pub vendor: Vendor,
    /// Family, model, stepping.
    pub signature: Signature,
    /// Processor name, 48 bytes.
    pub brand: [u8; 48],
}

impl Identity {
    /// Nobody.
    pub(crate) const NONE: Self = Self { vendor: Vendor::Other([0; 12]), signature: Signature(0), brand: [0; 48] };

    /// Reads the identity of a CPU.
    pub fn of(policy: &Policy) -> Self {
        Self { vendor: policy.vendor(), signature: policy.signature(), brand: policy.brand() }
    }

    /// What identities are ordered by: the vendor's string, then family, model and stepping, then the name.
    fn key(&self) -> ([u8; 12], u32, u32, u32, [u8; 48]) {
        let signature = self.signature;
        (self.vendor.bytes(), signature.family(), signature.model(), signature.stepping(), self.brand)
    }
}

/// The smallest and the largest identity of a pool. Both are semilattices, so order and grouping cannot matter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Identities {
    span: Option<(Identity, Identity)>,
}

impl Identities {
    pub(crate) const NONE: Self = Self { span: None };

    pub(crate) fn add(&mut self, identity: Identity) {
        self.merge(&Self { span: Some((identity, identity)) });
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.span = match (self.span, other.span) {
            (span, None) | (None, span) => span,
            (Some((low, high)), Some((other_low, other_high))) => Some((
                if other_low.key() < low.key() { other_low } else { low },
                if other_high.key() > high.key() { other_high } else { high },
            )),
        };
    }

    /// The two extremes, if they are of different vendors.
    pub(crate) fn vendors_differ(&self) -> Option<(Vendor, Vendor)> {
        self.span.map(|(low, high)| (low.vendor, high.vendor)).filter(|(low, high)| low != high)
    }

    /// Whether all machines are the same product: one vendor, signature and name.
    pub(crate) fn one_product(&self) -> bool {
        self.span.is_some_and(|(low, high)| low.key() == high.key() && low.brand != [0; 48])
    }

    /// Whether all machines are the same product, and a guest with this signature is of its model.
    pub(crate) fn same_product(&self, guest: Signature) -> bool {
        self.one_product() && self.span.is_some_and(|(low, _)| low.signature == guest)
    }

    /// The identity that a guest of the whole pool gets: the oldest signature, and a neutral name where names differ.
    pub(crate) fn chosen(&self) -> Option<(Identity, bool)> {
        let (low, high) = self.span?;
        if low.key() == high.key() {
            return Some((low, false));
        }
        Some((Identity { brand: neutral_brand(low.vendor), ..low }, true))
    }
}

/// A processor name that is true on every machine of a vendor. Guests look for the maker's words in it.
fn neutral_brand(vendor: Vendor) -> [u8; 48] {
    let name: &[u8] = match vendor {
        Vendor::Intel => b"Intel(R) Processor",
        Vendor::Amd => b"AMD Processor",
        Vendor::Hygon => b"Hygon Processor",
        Vendor::Zhaoxin => b"ZHAOXIN Processor",
        Vendor::Centaur => b"VIA Processor",
        _ => b"x86 Processor",
    };
    let mut brand = [0; 48];
    for (to, from) in brand.iter_mut().zip(name) {
        *to = *from;
    }
    brand
}
