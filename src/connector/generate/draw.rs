//! Draws without state: every one is a function of a key, so that any row can be made alone and again.
//!
//! Invariant: nothing here may change, or rows that were written and rows that follow would not belong together.
//! Golden values in the tests hold it.

/// A well-mixed image of `x`: the finalizer of SplitMix64.
pub(super) fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A key below another one.
pub(super) fn below(key: u64, part: u64) -> u64 {
    mix(key ^ mix(part))
}

/// The key of a name: FNV-1a, mixed.
pub(super) fn name_key(name: &str) -> u64 {
    let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    mix(hash)
}

/// Evenly between 0 and 1, 1 excluded.
pub(super) fn unit(key: u64) -> f64 {
    (key >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

/// A whole number below `count`, all alike.
pub(super) fn pick(key: u64, count: u64) -> u64 {
    ((u128::from(key) * u128::from(count)) >> 64) as u64
}

/// How many events happen where `lambda` are expected: Poisson, past 30 by its bell curve.
pub(super) fn poisson(lambda: f64, key: u64) -> u64 {
    let u = unit(key);
    if lambda > 30.0 {
        let count = lambda + lambda.sqrt() * normal_quantile(u.clamp(1e-12, 1.0 - 1e-12));
        return count.round().max(0.0) as u64;
    }
    let mut term = (-lambda).exp();
    let mut reached = term;
    let mut count = 0;
    while u >= reached && count < 200 {
        count += 1;
        term *= lambda / count as f64;
        reached += term;
    }
    count
}

/// A wait of `mean` on average, in whole minutes from 1 to `4 × mean`: many short, few long.
pub(super) fn delay(mean_minutes: i64, key: u64) -> i64 {
    let cut = 1.0 - (-4.0_f64).exp();
    let wait = -(1.0 - unit(key) * cut).ln() * mean_minutes as f64;
    (wait.ceil() as i64).clamp(1, (4 * mean_minutes).max(1))
}

/// Texts in an order that `key` alone decides (Fisher and Yates).
pub(super) fn shuffled<T: Clone>(items: &[T], key: u64) -> Vec<T> {
    let mut items = items.to_vec();
    for last in (1..items.len()).rev() {
        items.swap(last, pick(below(key, last as u64), last as u64 + 1) as usize);
    }
    items
}

/// Running sums of weights, scaled to end at 1.
#[derive(Debug, Clone)]
pub(super) struct Cumulative(Vec<f64>);

impl Cumulative {
    /// At least one weight must be above 0.
    pub(super) fn new(weights: impl IntoIterator<Item = f64>) -> Self {
        let mut sum = 0.0;
        let mut sums: Vec<f64> = weights
            .into_iter()
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        for reached in &mut sums {
            *reached /= sum;
        }
        Self(sums)
    }

    /// The index that `u` (0 to 1, 1 excluded) falls on.
    pub(super) fn find(&self, u: f64) -> usize {
        self.0.partition_point(|reached| *reached <= u).min(self.0.len().saturating_sub(1))
    }

    /// How far along that index `u` falls, from 0 to 1.
    pub(super) fn share(&self, index: usize, u: f64) -> f64 {
        let from = if index == 0 { 0.0 } else { self.0[index - 1] };
        ((u - from) / (self.0[index] - from).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0)
    }
}

/// The share of a bell curve (mean 0, deviation 1) that lies below `x`: the inverse of [`normal_quantile`], by halving.
pub(super) fn normal_share(x: f64) -> f64 {
    let (mut low, mut high) = (1e-15, 1.0 - 1e-15);
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if normal_quantile(middle) < x { low = middle } else { high = middle }
    }
    low
}

/// Below which `x` the share `p` of a bell curve lies: Acklam's approximation, good to nine digits.
pub(super) fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] = [
        7.784_695_709_041_462e-3,
        3.224_671_290_700_398e-1,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
        1.0,
    ];
    let polynomial = |factors: &[f64], x: f64| factors.iter().fold(0.0, |sum, factor| sum * x + factor);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        polynomial(&C, q) / polynomial(&D, q)
    };
    if p < 0.02425 {
        tail(p)
    } else if p > 1.0 - 0.02425 {
        -tail(1.0 - p)
    } else {
        let q = p - 0.5;
        polynomial(&A, q * q) * q / polynomial(&B, q * q)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_values_never_change() {
        assert_eq!(mix(0), 0xE220_A839_7B1D_CDAF);
        assert_eq!(name_key("crm_actions"), 0xE56C_31B3_1C5C_258C);
        assert_eq!(below(1, 2), 0xE06D_D043_328B_D285);
        assert_eq!(
            (0..12).map(|key| poisson(1.4, mix(key))).collect::<Vec<_>>(),
            [3, 1, 1, 0, 1, 1, 2, 1, 2, 2, 0, 1]
        );
        assert_eq!(
            (0..6).map(|key| poisson(700.0, mix(key))).collect::<Vec<_>>(),
            [732, 704, 706, 668, 695, 692]
        );
        assert_eq!(
            (0..8).map(|key| delay(1440, mix(key))).collect::<Vec<_>>(),
            [2907, 1170, 1251, 171, 794, 688, 1866, 695]
        );
        assert_eq!(shuffled(&["а", "б", "в", "г", "д"], 7), ["д", "в", "а", "г", "б"]);
    }

    #[test]
    fn counts_are_what_is_expected() {
        for lambda in [0.01, 0.7, 5.0, 29.0, 31.0, 900.0] {
            let draws = 20_000_u64;
            let sum: u64 = (0..draws).map(|key| poisson(lambda, mix(key))).sum();
            let mean = sum as f64 / draws as f64;
            let error = (mean - lambda).abs() / (lambda / draws as f64).sqrt();
            assert!(error < 4.0, "{lambda}: mean {mean}");
        }
    }

    #[test]
    fn the_bell_curve_and_its_inverse_agree() {
        for x in [-3.5, -1.96, -0.3, 0.0, 0.5, 2.0, 4.0] {
            assert!((normal_quantile(normal_share(x)) - x).abs() < 1e-6, "{x}");
        }
        assert!((normal_share(1.96) - 0.975).abs() < 1e-4);
    }

    #[test]
    fn waits_are_bounded_and_keep_their_mean() {
        let waits: Vec<i64> = (0..20_000).map(|key| delay(100, mix(key))).collect();
        assert!(waits.iter().all(|wait| (1..=400).contains(wait)));
        let mean = waits.iter().sum::<i64>() as f64 / waits.len() as f64;
        assert!((mean - 93.0).abs() < 3.0, "{mean}");
    }
}
