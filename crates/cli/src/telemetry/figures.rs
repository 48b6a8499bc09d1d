//! Metrics: the figures that Prometheus gets, by the same names and with the same labels, in OTLP's form.

use std::time::SystemTime;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as PointValue;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use report::{Distribution, FamilyFigures, Figures, Metrics, Number, Sample};

use super::collector::Collector;
use super::settings::Attributes;

/// Sends figures as they are when it is asked to.
pub(super) struct Exporter {
    collector: Collector,
    metrics: Metrics,
    resource: Attributes,
    started: SystemTime,
}

impl Exporter {
    pub(super) fn new(
        collector: Collector,
        metrics: Metrics,
        resource: Attributes,
        started: SystemTime,
    ) -> Self {
        Self { collector, metrics, resource, started }
    }

    pub(super) async fn export(&self) {
        let times = Times { started: nanos(self.started), now: nanos(SystemTime::now()) };
        let metrics = self.metrics.figures().into_iter().map(|family| times.metric(family));
        let scope = InstrumentationScope {
            name: "image-syncer".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let resource = Resource { attributes: attributes(&self.resource), ..Resource::default() };
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(resource),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(scope),
                    metrics: metrics.collect(),
                    ..ScopeMetrics::default()
                }],
                ..ResourceMetrics::default()
            }],
        };
        self.collector.take(&request).await;
    }
}

/// Nanoseconds since 1970; until 2554 there are enough of them.
fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn attributes(pairs: &[(String, String)]) -> Vec<KeyValue> {
    let attribute = |(key, value): &(String, String)| KeyValue {
        key: key.clone(),
        value: Some(AnyValue { value: Some(Value::StringValue(value.clone())) }),
        ..KeyValue::default()
    };
    pairs.iter().map(attribute).collect()
}

/// What figures are of, in nanoseconds since 1970.
#[derive(Clone, Copy)]
struct Times {
    started: u64,
    now: u64,
}

impl Times {
    fn metric(self, family: FamilyFigures) -> Metric {
        let temporality = AggregationTemporality::Cumulative.into();
        let data = match &family.figures {
            Figures::Counter(samples) => Data::Sum(Sum {
                data_points: samples.iter().map(|one| self.number(self.started, one)).collect(),
                aggregation_temporality: temporality,
                is_monotonic: true,
            }),
            // A gauge is of a moment, not of a time since.
            Figures::Gauge(samples) => Data::Gauge(Gauge {
                data_points: samples.iter().map(|one| self.number(0, one)).collect(),
            }),
            Figures::Histogram(all) => Data::Histogram(Histogram {
                data_points: all.iter().map(|one| self.distribution(one)).collect(),
                aggregation_temporality: temporality,
            }),
        };
        Metric {
            name: family.name,
            description: family.help,
            unit: family.unit.as_deref().map(unit).unwrap_or_default().to_owned(),
            data: Some(data),
            ..Metric::default()
        }
    }

    fn number(self, started: u64, sample: &Sample) -> NumberDataPoint {
        let value = match sample.value {
            Number::Whole(whole) => PointValue::AsInt(whole),
            Number::Real(real) => PointValue::AsDouble(real),
        };
        NumberDataPoint {
            attributes: attributes(&sample.labels),
            start_time_unix_nano: started,
            time_unix_nano: self.now,
            value: Some(value),
            ..NumberDataPoint::default()
        }
    }

    fn distribution(self, one: &Distribution) -> HistogramDataPoint {
        HistogramDataPoint {
            attributes: attributes(&one.labels),
            start_time_unix_nano: self.started,
            time_unix_nano: self.now,
            count: one.counts.iter().sum(),
            sum: Some(one.sum),
            bucket_counts: one.counts.clone(),
            explicit_bounds: one.bounds.clone(),
            ..HistogramDataPoint::default()
        }
    }
}

/// A unit as UCUM writes it, which OTLP wants.
fn unit(unit: &str) -> &str {
    match unit {
        "seconds" => "s",
        "bytes" => "By",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(name: &str, unit: Option<&str>, figures: Figures) -> FamilyFigures {
        let (help, unit) = ("What it is.".to_owned(), unit.map(str::to_owned));
        FamilyFigures { name: name.to_owned(), help, unit, figures }
    }

    const TIMES: Times = Times { started: 1, now: 2 };

    #[test]
    fn a_counter_is_a_growing_sum_since_the_start() {
        let labels = vec![("mode".to_owned(), "sync".to_owned())];
        let sample = Sample { labels, value: Number::Whole(3) };
        let metric = TIMES.metric(family("a_total", None, Figures::Counter(vec![sample])));
        assert_eq!((metric.name.as_str(), metric.unit.as_str()), ("a_total", ""));
        let Some(Data::Sum(sum)) = metric.data else { panic!("{:?}", metric.data) };
        assert!(sum.is_monotonic);
        assert_eq!(sum.aggregation_temporality(), AggregationTemporality::Cumulative);
        let [point] = sum.data_points.as_slice() else { panic!("{sum:?}") };
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (1, 2));
        assert_eq!(point.value, Some(PointValue::AsInt(3)));
        assert_eq!(point.attributes.len(), 1);
    }

    #[test]
    fn a_gauge_and_a_histogram_have_their_units() {
        let sample = Sample { labels: Vec::new(), value: Number::Real(0.5) };
        let metric = TIMES.metric(family("a", Some("seconds"), Figures::Gauge(vec![sample])));
        assert_eq!(metric.unit, "s");
        let Some(Data::Gauge(gauge)) = metric.data else { panic!("{:?}", metric.data) };
        assert_eq!(gauge.data_points[0].start_time_unix_nano, 0);
        let one = Distribution {
            labels: Vec::new(),
            bounds: vec![1.0, 5.0],
            counts: vec![2, 0, 1],
            sum: 9.5,
        };
        let metric = TIMES.metric(family("b", Some("bytes"), Figures::Histogram(vec![one])));
        assert_eq!(metric.unit, "By");
        let Some(Data::Histogram(histogram)) = metric.data else { panic!("{:?}", metric.data) };
        let point = &histogram.data_points[0];
        assert_eq!((point.count, point.sum), (3, Some(9.5)));
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    }
}
