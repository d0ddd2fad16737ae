//! Which instructions the kernels use: what this CPU has, capped by the environment for tests.

use std::fmt;
use std::str::FromStr;

use super::KernelError;

/// The environment variable that caps the choice: one of the names of [`InstructionSet`].
pub const CAP: &str = "CHEXBOX_CPU";

/// Instruction sets from the widest to the plainest. f32 uses the floating-point part of the same CPU generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstructionSet {
    /// Plain loops of the compiler's baseline; what all others are tested against.
    Portable,
    /// 128-bit integers, for small boxes without AVX.
    Sse41,
    /// 256-bit integers without dot products, and FMA.
    Avx2,
    /// 256-bit dot products of bytes.
    AvxVnni,
    /// 512-bit dot products of bytes.
    Avx512Vnni,
}

impl InstructionSet {
    /// All of them, the plainest first.
    pub const ALL: [Self; 5] = [Self::Portable, Self::Sse41, Self::Avx2, Self::AvxVnni, Self::Avx512Vnni];

    /// The widest that this CPU has.
    #[must_use]
    pub fn detected() -> Self {
        Self::ALL.into_iter().rev().find(|set| set.is_present()).unwrap_or(Self::Portable)
    }

    /// The widest that this CPU has and the environment variable `CHEXBOX_CPU` allows.
    ///
    /// # Errors
    /// The variable names no instruction set.
    pub fn chosen() -> Result<Self, KernelError> {
        match std::env::var_os(CAP) {
            None => Ok(Self::detected()),
            Some(cap) => Ok(cap.to_string_lossy().parse::<Self>()?.or_lesser()),
        }
    }

    /// This one, or the widest below it that the CPU has.
    #[must_use]
    pub fn or_lesser(self) -> Self {
        Self::ALL.into_iter().rev().find(|set| *set <= self && set.is_present()).unwrap_or(Self::Portable)
    }

    /// Whether this CPU (and its operating system) can run it.
    #[must_use]
    pub fn is_present(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            match self {
                Self::Portable => true,
                Self::Sse41 => is_x86_feature_detected!("sse4.1"),
                Self::Avx2 => avx2,
                Self::AvxVnni => avx2 && is_x86_feature_detected!("avxvnni"),
                Self::Avx512Vnni => {
                    avx2 && is_x86_feature_detected!("avx512f")
                        && is_x86_feature_detected!("avx512bw")
                        && is_x86_feature_detected!("avx512vl")
                        && is_x86_feature_detected!("avx512dq")
                        && is_x86_feature_detected!("avx512vnni")
                }
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self == Self::Portable
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Sse41 => "sse4.1",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx-vnni",
            Self::Avx512Vnni => "avx512-vnni",
        }
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for InstructionSet {
    type Err = KernelError;

    fn from_str(name: &str) -> Result<Self, KernelError> {
        let unknown = || KernelError::UnknownInstructionSet { name: name.chars().take(40).collect() };
        Self::ALL.into_iter().find(|set| set.name() == name).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for set in InstructionSet::ALL {
            assert_eq!(set.to_string().parse(), Ok(set));
        }
        assert!("AVX2 ".parse::<InstructionSet>().is_err());
    }

    #[test]
    fn a_cap_never_widens_the_choice() {
        for cap in InstructionSet::ALL {
            assert!(cap.or_lesser() <= cap.min(InstructionSet::detected()));
            assert!(cap.or_lesser().is_present());
        }
        assert_eq!(InstructionSet::Avx512Vnni.or_lesser(), InstructionSet::detected());
    }
}
