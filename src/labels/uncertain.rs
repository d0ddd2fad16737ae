//! What to make of a label -1, "uncertain" (CheXpert, Irvin et al. 2019, section 3).

use std::collections::BTreeMap;

/// What an uncertain label counts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Uncertain {
    /// Nothing: U-Ignore.
    #[default]
    Ignore,
    /// Absent: U-Zeros.
    Zeros,
    /// Present: U-Ones.
    Ones,
}

/// What uncertain labels count as, for each finding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UncertainPolicies {
    default: Uncertain,
    of: BTreeMap<String, Uncertain>,
}

/// Text that is no policy.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no policy for uncertain labels, allowed are ignore, zeros, ones, and FINDING=ignore, FINDING=zeros or FINDING=ones"
)]
pub struct UncertainPolicyError(String);

impl UncertainPolicies {
    /// Reads texts such as `zeros` (all findings) and `pulmonary_edema=ones`.
    ///
    /// # Errors
    /// [`UncertainPolicyError`] that says what is allowed.
    pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Self, UncertainPolicyError> {
        let mut policies = Self::default();
        for text in texts {
            let text = text.as_ref();
            let (finding, name) = text.split_once('=').map_or((None, text), |(f, name)| (Some(f), name));
            let policy = match name {
                "ignore" => Uncertain::Ignore,
                "zeros" => Uncertain::Zeros,
                "ones" => Uncertain::Ones,
                _ => return Err(UncertainPolicyError(text.to_owned())),
            };
            match finding {
                None => policies.default = policy,
                Some(f) => {
                    policies.of.insert(f.to_owned(), policy);
                }
            }
        }
        Ok(policies)
    }

    /// The policy of the finding with this id.
    pub fn of(&self, id: &str) -> Uncertain {
        self.of.get(id).copied().unwrap_or(self.default)
    }

    /// Findings named that are not among `known`.
    pub fn unknown<'a>(&'a self, known: &[&str]) -> Vec<&'a str> {
        self.of.keys().map(String::as_str).filter(|id| !known.contains(id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_holds_for_all_findings_or_for_the_one_named() {
        let policies = UncertainPolicies::parse(&["zeros", "edema=ones"]).unwrap();
        assert_eq!((policies.of("edema"), policies.of("mass")), (Uncertain::Ones, Uncertain::Zeros));
        assert_eq!(policies.unknown(&["mass"]), ["edema"]);
        assert_eq!(UncertainPolicies::default().of("mass"), Uncertain::Ignore);
        for text in ["one", "edema=", "=x", "edema=1"] {
            assert!(UncertainPolicies::parse(&[text]).unwrap_err().to_string().contains("ignore, zeros, ones"), "{text}");
        }
    }
}
