//! What 8-bit integers change on films without labels: logits, heat maps, and calls where operating points are known.

use super::Failure;
use chexbox::grad_cam::{alike, heat_map};
use chexbox::input::Plane;
use chexbox::model::quantize::bars;
use chexbox::model::{Head, Manifest, Network, Operating};
use tract_onnx::pb::ModelProto;

/// The two networks over the same films.
pub(super) struct Compared {
    films: usize,
    mean: f32,
    furthest: f32,
    /// The model that the operating points are of, and the share of calls that stay the same.
    calls_agree: Option<(String, f64)>,
    heat_maps_correlate: f64,
}

impl Compared {
    /// Runs both over `films`. Where `like` has as many findings as the model, its trained heads are compared and its operating
    /// points make the calls; otherwise every head is compared and there are no calls.
    ///
    /// # Errors
    /// A sentence, if a network does not run or has no linear head that heat maps could be drawn from.
    pub(super) fn of(
        plain: ModelProto,
        quantized: ModelProto,
        size: usize,
        like: &Manifest,
        films: usize,
        film: &dyn Fn(usize) -> Plane,
    ) -> Result<Self, Failure> {
        let heads = Head::of(&plain)?;
        let [plain, quantized] = [Network::of(plain, size)?, Network::of(quantized, size)?];
        let fits = like.findings.len() == heads.findings();
        let operating: Vec<Option<Operating>> =
            if fits { like.findings.iter().map(|f| f.operating).collect() } else { vec![None; heads.findings()] };
        let side = quantized.feature_shape()[1];
        let (mut apart, mut same, mut correlations) = (Vec::new(), Vec::new(), Vec::new());
        for i in 0..films {
            let film = film(i);
            let (a, b) = (plain.run(&film)?, quantized.run(&film)?);
            for (finding, operating) in operating.iter().enumerate().filter(|(_, o)| !fits || o.is_some()) {
                let logits = (a.logits.get(finding), b.logits.get(finding));
                let (Some(before), Some(after)) = logits else { continue };
                apart.push((before - after).abs());
                same.extend(operating.map(|o| o.call(*before) == o.call(*after)));
                let row = heads.row(finding);
                let maps = (heat_map(&a.features, side, row)?, heat_map(&b.features, side, row)?);
                correlations.extend(alike(maps.0.values(), maps.1.values()));
            }
        }
        let share = same.iter().filter(|s| **s).count() as f64 / same.len() as f64;
        Ok(Self {
            films,
            mean: apart.iter().sum::<f32>() / apart.len().max(1) as f32,
            furthest: apart.iter().copied().fold(0.0, f32::max),
            calls_agree: (!same.is_empty()).then(|| (like.name.clone(), share)),
            heat_maps_correlate: correlations.iter().sum::<f64>() / correlations.len() as f64,
        })
    }

    /// The bars that are missed, a phrase each.
    pub(super) fn missed(&self) -> Vec<String> {
        let calls = self.calls_agree.as_ref().and_then(|(_, share)| bars::calls_missed(*share));
        calls.into_iter().chain(bars::heat_maps_missed(self.heat_maps_correlate)).collect()
    }

    /// What was found, one line.
    pub(super) fn line(&self) -> String {
        let Self { films, mean, furthest, .. } = self;
        let calls = self.calls_agree.as_ref().map_or_else(
            || "calls were not compared, as --like names no model with these findings".to_owned(),
            |(name, share)| format!("{:.2} % of calls at the operating points of {name} agree", share * 100.0),
        );
        format!(
            "f32 and int8 on {films} films: logits differ by {mean:.4} on average, by {furthest:.4} at most; heat maps correlate \
             at {:.4}; {calls}",
            self.heat_maps_correlate
        )
    }
}
