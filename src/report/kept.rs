//! A reading as it is kept: every number and name, in no language, nothing of the patient.
//!
//! What a film is answered with, today or in a year, is drawn up from this. In: a reading or a refusal with its model.
//! Out: a value that serde writes and reads, and the findings as the rest of the program knows them.

use crate::findings::{Call, Finding, FindingState, Logit, Probability};
use crate::grad_cam::HeatMap;
use crate::model::Manifest;
use crate::radiograph::{Code, Facts, Refusal, Step};
use crate::reading::Reading;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One film on one model, read or refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptReading {
    /// Program and version that read it.
    pub program: String,
    /// Name of the model.
    pub model: String,
    /// Version of the model.
    pub version: String,
    /// SHA-256 of the model file.
    pub sha256: String,
    /// What ran the model; none when refused.
    pub engine: Option<String>,
    /// Why it was not read.
    pub refusal: Option<KeptRefusal>,
    /// The label set in its order; none when refused.
    pub findings: Option<Vec<KeptFinding>>,
    /// What the file says about the film, as records have it.
    pub facts: Value,
    /// Every step the pixels went through, as records have it.
    pub steps: Value,
}

/// Why a film was not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRefusal {
    /// Stable code.
    pub code: String,
    /// What was found.
    pub detail: String,
}

/// A line of the label set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptFinding {
    /// English name in snake_case; stable.
    pub id: String,
    /// English name.
    pub en: String,
    /// Chinese name.
    pub zh: String,
    /// What was assessed; none for an untrained head.
    pub assessed: Option<KeptNumbers>,
}

/// The numbers of an assessed finding.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptNumbers {
    /// Output of the network.
    pub logit: f32,
    /// Calibrated probability in [0, 1].
    pub probability: f32,
    /// Operating point in (0, 1).
    pub threshold: f32,
    /// Whether the probability is at or above the operating point.
    pub positive: bool,
}

impl KeptReading {
    /// Keeps a film that was read. `steps` are those of the whole way, decoding first.
    pub fn of(manifest: &Manifest, engine: &str, facts: &Facts, steps: &[Step], reading: &Reading) -> Self {
        let value = |v: Result<Value, _>| v.unwrap_or(Value::Null);
        Self {
            engine: Some(engine.to_owned()),
            findings: Some(reading.findings.iter().map(KeptFinding::of).collect()),
            facts: value(serde_json::to_value(facts)),
            steps: value(serde_json::to_value(steps)),
            ..Self::empty(manifest)
        }
    }

    /// Keeps a film that was refused.
    pub fn refused(manifest: &Manifest, refusal: &Refusal) -> Self {
        let refusal = KeptRefusal { code: refusal.code().as_str().to_owned(), detail: refusal.detail().to_owned() };
        Self { refusal: Some(refusal), ..Self::empty(manifest) }
    }

    fn empty(manifest: &Manifest) -> Self {
        Self {
            program: super::record::PROGRAM.to_owned(),
            model: manifest.name.clone(),
            version: manifest.version.clone(),
            sha256: manifest.file.sha256.clone(),
            engine: None,
            refusal: None,
            findings: None,
            facts: Value::Null,
            steps: Value::Array(Vec::new()),
        }
    }

    /// The refusal with its sentences.
    pub fn refusal(&self) -> Option<Refusal> {
        let kept = self.refusal.as_ref()?;
        let code = Code::ALL.into_iter().find(|c| c.as_str() == kept.code).unwrap_or(Code::InternalFault);
        Some(Refusal::new(code, kept.detail.clone()))
    }

    /// Findings at or above their operating points.
    pub fn positives(&self) -> impl Iterator<Item = &KeptFinding> {
        self.findings.iter().flatten().filter(|f| f.assessed.is_some_and(|n| n.positive))
    }

    /// The findings as the program works with them.
    pub fn findings(&self) -> Vec<Finding> {
        self.findings.iter().flatten().map(KeptFinding::finding).collect()
    }
}

impl KeptFinding {
    fn of(finding: &Finding) -> Self {
        let assessed = match finding.state {
            FindingState::Untrained => None,
            FindingState::Assessed { logit, probability, threshold, call } => Some(KeptNumbers {
                logit: logit.value(),
                probability: probability.value(),
                threshold,
                positive: call == Call::Positive,
            }),
        };
        Self { id: finding.id.clone(), en: finding.en.clone(), zh: finding.zh.clone(), assessed }
    }

    /// The finding as the program works with it; numbers that are none make it untrained, never a call.
    pub fn finding(&self) -> Finding {
        let state = self.assessed.and_then(|n| {
            let call = if n.positive { Call::Positive } else { Call::Negative };
            let (logit, probability) = (Logit::new(n.logit)?, Probability::new(n.probability)?);
            Some(FindingState::Assessed { logit, probability, threshold: n.threshold, call })
        });
        let state = state.unwrap_or(FindingState::Untrained);
        Finding { id: self.id.clone(), en: self.en.clone(), zh: self.zh.clone(), state }
    }
}

/// Heat maps as bytes: for each its finding's place and its side as two bytes, its peak and its cells as four, little endian.
pub fn pack(maps: &[(usize, HeatMap)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, map) in maps {
        let (Ok(at), Ok(side)) = (u16::try_from(*at), u16::try_from(map.side())) else { continue };
        out.extend(at.to_le_bytes());
        out.extend(side.to_le_bytes());
        out.extend(map.peak().to_le_bytes());
        out.extend(map.values().iter().flat_map(|v| v.to_le_bytes()));
    }
    out
}

/// The heat map of the finding at this place; none where the bytes hold none, or are none of ours.
pub fn unpack(mut bytes: &[u8], finding: usize) -> Option<HeatMap> {
    loop {
        let (at, rest) = bytes.split_first_chunk::<2>()?;
        let (side, rest) = rest.split_first_chunk::<2>()?;
        let (peak, rest) = rest.split_first_chunk::<4>()?;
        let side = usize::from(u16::from_le_bytes(*side));
        let (cells, rest) = rest.split_at_checked(side.checked_mul(side)?.checked_mul(4)?)?;
        if usize::from(u16::from_le_bytes(*at)) == finding {
            let values = cells.as_chunks::<4>().0.iter().map(|v| f32::from_le_bytes(*v)).collect();
            return HeatMap::kept(side, values, f32::from_le_bytes(*peak));
        }
        bytes = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples;
    use super::*;
    use crate::grad_cam::heat_map;

    #[test]
    fn a_reading_comes_back_as_it_was_kept() {
        let manifest = examples::manifest(&[("mass", "肺内占位", Some(0.3)), ("picc", "PICC", None)]);
        let mut findings = examples::findings(&[(0.75, 0.3)]);
        findings.push(examples::untrained("picc", "PICC"));
        let reading = Reading { findings: findings.clone(), heat_maps: Vec::new(), steps: Vec::new() };
        let kept = KeptReading::of(&manifest, "engine", &examples::facts(), &examples::steps(), &reading);
        let again: KeptReading = serde_json::from_str(&serde_json::to_string(&kept).unwrap()).unwrap();
        assert_eq!(again, kept);
        assert_eq!(again.findings(), findings);
        assert_eq!(again.positives().count(), 1);
        assert_eq!(again.facts["rows"], 2500);
    }

    #[test]
    fn a_refusal_comes_back_with_its_sentence() {
        let manifest = examples::manifest(&[("mass", "肺内占位", Some(0.3))]);
        let refusal = Refusal::new(Code::NotAChest, "the gate's distance is 9");
        let kept = KeptReading::refused(&manifest, &refusal);
        assert_eq!((kept.refusal(), kept.findings.is_none()), (Some(refusal), true));
    }

    #[test]
    fn heat_maps_come_back_cell_by_cell_and_broken_bytes_give_none() {
        let map = |weight| heat_map(&[0.0, 1.0, 2.0, 4.0], 2, &[weight]).unwrap();
        let maps = vec![(3, map(1.0)), (7, map(0.5))];
        let bytes = pack(&maps);
        assert_eq!(unpack(&bytes, 3).as_ref(), Some(&maps[0].1));
        assert_eq!(unpack(&bytes, 7).as_ref(), Some(&maps[1].1));
        assert_eq!(unpack(&bytes, 4), None);
        for cut in 0..bytes.len() {
            let _ = unpack(&bytes[..cut], 7);
        }
        assert_eq!(unpack(&[7, 0, 255, 255, 0, 0, 0, 0], 7), None);
    }
}
