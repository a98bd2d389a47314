//! The instruction-set levels of the x86-64 psABI: x86-64-v1 to v4.

use cpuid_db::{Feature, FeatureSet};

/// What each level adds to the one before. OSXSAVE is left out: it is the operating system's bit. So is SYSCALL: every CPU
/// with LM has it, but Intel CPUs say so only to 64-bit programs, and some dumps were taken by others.
const LEVELS: [&[Feature]; 4] = [
    &[Feature::CMOV, Feature::CX8, Feature::FPU, Feature::FXSR, Feature::MMX, Feature::LM, Feature::SSE, Feature::SSE2],
    &[Feature::CX16, Feature::LAHF_LM, Feature::POPCNT, Feature::SSE3, Feature::SSE4_1, Feature::SSE4_2, Feature::SSSE3],
    &[Feature::AVX, Feature::AVX2, Feature::BMI1, Feature::BMI2, Feature::F16C, Feature::FMA, Feature::ABM, Feature::MOVBE, Feature::XSAVE],
    &[Feature::AVX512F, Feature::AVX512BW, Feature::AVX512CD, Feature::AVX512DQ, Feature::AVX512VL],
];

/// Which level a set of features reaches, and what the next one needs besides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Level {
    /// 0 to 4; 0 is no x86-64 at all.
    reached: usize,
    /// Empty at the highest level.
    pub(crate) missing: Vec<Feature>,
}

impl Level {
    /// The level of these features.
    pub(crate) fn of(features: &FeatureSet) -> Self {
        let lacks = |level: &[Feature]| level.iter().copied().filter(|feature| !features.contains(*feature)).collect();
        for (reached, level) in LEVELS.iter().enumerate() {
            let missing: Vec<Feature> = lacks(level);
            if !missing.is_empty() {
                return Self { reached, missing };
            }
        }
        Self { reached: LEVELS.len(), missing: Vec::new() }
    }

    /// `x86-64-v3`, or `none` below the first.
    pub(crate) fn name(&self) -> String {
        if self.reached == 0 { "none".to_owned() } else { format!("x86-64-v{}", self.reached) }
    }

    /// `x86-64-v4 needs AVX512F`; empty at the highest level.
    pub(crate) fn next(&self) -> String {
        if self.missing.is_empty() {
            return String::new();
        }
        let names: Vec<&str> = self.missing.iter().map(|feature| feature.name()).collect();
        format!("x86-64-v{} needs {}", self.reached + 1, names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_needs_the_one_before() {
        let mut features = FeatureSet::EMPTY;
        assert_eq!(Level::of(&features).name(), "none");
        for (at, level) in LEVELS.iter().enumerate() {
            assert_eq!(Level::of(&features).missing, *level);
            features = features.union(&level.iter().copied().collect());
            assert_eq!(Level::of(&features).name(), format!("x86-64-v{}", at + 1));
        }
        assert_eq!(Level::of(&features).next(), "");
        assert_eq!(Level::of(&features.without(Feature::AVX)).next(), "x86-64-v3 needs AVX");
        assert_eq!(Level::of(&features.without(Feature::SSE)).name(), "none");
    }
}
