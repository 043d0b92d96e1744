//! `system_power.json`: Appendix E's schema.

use crate::lax::{
    Fields, Problem, Problems, boolean, dict, float, float_from_0, int, int_from, list, non_empty,
    one_of, string,
};
use crate::value::Value;

/// A power figure and where it is from.
#[derive(Debug, Default)]
pub(crate) struct Sourced {
    pub(crate) watts: Option<f64>,
    pub(crate) pj: Option<f64>,
    /// An MLCommons default: the subsection of Appendix D.
    pub(crate) default: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Power {
    pub(crate) cooling: &'static str,
    pub(crate) sets: Vec<NodeSet>,
    pub(crate) fabric: Fabric,
    pub(crate) declared: Option<Sourced>,
    pub(crate) computed: Computed,
    pub(crate) provisioned_kw: Option<f64>,
}

#[derive(Debug, Default)]
pub(crate) struct NodeSet {
    pub(crate) id: i128,
    pub(crate) ensemble: i128,
    pub(crate) nodes: i128,
    pub(crate) method: &'static str,
    pub(crate) published: Option<Sourced>,
    pub(crate) nodes_in_rack: Option<i128>,
    pub(crate) components: Option<Components>,
}

#[derive(Debug, Default)]
pub(crate) struct Components {
    pub(crate) cpu: Option<Unit>,
    pub(crate) accelerator: Option<Unit>,
    pub(crate) combined: Option<Sourced>,
    pub(crate) scale_up: Option<ScaleUp>,
}

/// Processors or accelerators of a node.
#[derive(Debug, Default)]
pub(crate) struct Unit {
    pub(crate) model: Option<String>,
    pub(crate) count: i128,
    pub(crate) tdp: Option<Sourced>,
}

#[derive(Debug, Default)]
pub(crate) struct ScaleUp {
    pub(crate) method: &'static str,
    pub(crate) switches: Option<i128>,
    pub(crate) per_switch: Option<Sourced>,
    pub(crate) bandwidth: Option<f64>,
    pub(crate) per_bit: Option<Sourced>,
}

/// Scale-out.
#[derive(Debug, Default)]
pub(crate) struct Fabric {
    pub(crate) is_present: bool,
    pub(crate) cabling: Option<&'static str>,
    pub(crate) required: Option<f64>,
    pub(crate) nics: Option<Nics>,
    pub(crate) switches: Option<Vec<Switch>>,
}

#[derive(Debug, Default)]
pub(crate) struct Nics {
    pub(crate) count: i128,
    pub(crate) gbps: f64,
    pub(crate) is_counted: bool,
    pub(crate) tdp: Option<Sourced>,
    pub(crate) is_excluded_from_published: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Switch {
    pub(crate) model: String,
    pub(crate) count: i128,
    pub(crate) tbps: f64,
    pub(crate) power: Option<Sourced>,
}

/// The submitter's own arithmetic, in the order of [`COMPUTED`].
#[derive(Debug, Default)]
pub(crate) struct Computed {
    pub(crate) watts: [Option<f64>; 5],
    pub(crate) overhead: Option<f64>,
}

pub(crate) const COMPUTED: [&str; 5] = [
    "major_components_w",
    "other_components_w",
    "published_node_power_w",
    "scale_out_switch_power_w",
    "total_system_power_w",
];
pub(crate) const COMPONENT_SUM: &str = "component_sum";
pub(crate) const PUBLISHED_SYSTEM: &str = "published_system";

/// Opens a mapping, or is its default.
macro_rules! fields {
    ($value:expr, $problems:expr) => {
        match Fields::of($value, $problems) {
            Some(fields) => fields,
            None => return Self::default(),
        }
    };
}

impl Sourced {
    fn read(value: &Value, problems: &mut Problems) -> Self {
        const W_PER_KW: f64 = 1000.0;
        const DEFAULT: &str = "mlc_default";
        const SECTIONS: [&str; 4] = ["D.1", "D.2", "D.3", "D.4"];
        let mut fields = fields!(value, problems);
        fields.only(&["value_w", "value_kw", "value_pj", "source_type", "source"]);
        let w = fields.optional("value_w", float_from_0);
        let kw = fields.optional("value_kw", float_from_0);
        let pj = fields.optional("value_pj", float_from_0);
        let kinds = one_of(&["vendor_spec", "publication", "public_statement", DEFAULT]);
        let kind = fields.required("source_type", kinds);
        let source = fields.required("source", non_empty);
        let is_url = ["https://", "http://"]
            .iter()
            .any(|s| source.starts_with(s));
        let count = [w, kw, pj].into_iter().flatten().count();
        fields.then(|problems| {
            if count != 1 {
                problems.add(format!(
                    "found {count} of value_w, value_kw and value_pj, expected exactly one"
                ));
            } else if kind == DEFAULT && !SECTIONS.contains(&source.as_str()) {
                problems.add(format!(
                    "found the source {source:?}, expected D.1, D.2, D.3 or D.4"
                ));
            } else if kind != DEFAULT && !is_url {
                problems.add(format!(
                    "found the source {source:?}, expected an http(s) address"
                ));
            }
        });
        Self {
            watts: w.or(kw.map(|kw| kw * W_PER_KW)),
            pj,
            default: (kind == DEFAULT).then_some(source),
        }
    }
}

impl Power {
    pub(crate) fn read(value: &Value) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let power = Self::fields(value, &mut problems);
        if problems.list.is_empty() {
            Ok(power)
        } else {
            Err(problems.list)
        }
    }

    fn fields(value: &Value, problems: &mut Problems) -> Self {
        let mut fields = fields!(value, problems);
        fields.required("system_desc_id", non_empty);
        fields.optional("mlc_estimated_power", boolean);
        fields.optional("notes", string);
        Self {
            cooling: fields.required("cooling", one_of(&["liquid", "air"])),
            sets: fields.required("node_sets", |value, problems| {
                let sets = list(NodeSet::read)(value, problems);
                if value.list().is_some_and(<[Value]>::is_empty) {
                    problems.add("found an empty list, expected at least one set of nodes");
                }
                sets
            }),
            fabric: fields.required("scale_out", Fabric::read),
            declared: fields.optional("declared_provisioned_power", Sourced::read),
            computed: fields
                .optional("computed", Computed::read)
                .unwrap_or_default(),
            provisioned_kw: fields.optional("provisioned_power_kw", float),
        }
    }
}

impl NodeSet {
    fn read(value: &Value, problems: &mut Problems) -> Self {
        let mut fields = fields!(value, problems);
        Self {
            id: fields.required("node_set_id", int),
            ensemble: fields.required("system_node_ensemble_id", int),
            nodes: fields.required("nodes_provisioned", int_from(1)),
            method: fields.required(
                "power_method",
                one_of(&[COMPONENT_SUM, PUBLISHED_SYSTEM, "node_scaling"]),
            ),
            published: fields.optional("published_power", Sourced::read),
            nodes_in_rack: fields.optional("nodes_in_published_rack", int),
            components: fields.optional("components", Components::read),
        }
    }
}

impl Components {
    fn read(value: &Value, problems: &mut Problems) -> Self {
        let mut fields = fields!(value, problems);
        Self {
            cpu: fields.optional("cpu", |value, problems| Unit::read(value, problems, false)),
            accelerator: fields.optional("accelerator", |value, problems| {
                Unit::read(value, problems, true)
            }),
            combined: fields.optional("combined_cpu_accelerator", Sourced::read),
            scale_up: fields.optional("scale_up_network", ScaleUp::read),
        }
    }
}

impl Unit {
    fn read(value: &Value, problems: &mut Problems, is_accelerator: bool) -> Self {
        let mut fields = fields!(value, problems);
        if is_accelerator {
            fields.optional("below_rated_tdp", dict(|_, _| ()));
        }
        Self {
            model: fields.optional("model", string),
            count: fields.required("count_per_node", int_from(0)),
            tdp: fields.optional("tdp_per_unit", Sourced::read),
        }
    }
}

impl ScaleUp {
    fn read(value: &Value, problems: &mut Problems) -> Self {
        let mut fields = fields!(value, problems);
        Self {
            method: fields.required(
                "method",
                one_of(&["declared_tdp", "bandwidth_estimate", "none"]),
            ),
            switches: fields.optional("switch_count", int_from(0)),
            per_switch: fields.optional("tdp_per_switch", Sourced::read),
            bandwidth: fields.optional("aggregate_bandwidth_tbps", float_from_0),
            per_bit: fields.optional("energy_per_bit_pj", Sourced::read),
        }
    }
}

impl Fabric {
    fn read(value: &Value, problems: &mut Problems) -> Self {
        let mut fields = fields!(value, problems);
        Self {
            is_present: fields.required("present", boolean),
            cabling: fields.optional("cabling", one_of(&["passive", "active_optical"])),
            required: fields.optional("required_bandwidth_tbps", float_from_0),
            nics: fields.optional("nics", Nics::read),
            switches: fields.optional("switches", list(Switch::read)),
        }
    }
}

impl Nics {
    fn read(value: &Value, problems: &mut Problems) -> Self {
        let mut fields = fields!(value, problems);
        let excluded = fields.optional("excluded_from_published_power", string);
        Self {
            count: fields.required("count_per_node", int_from(0)),
            gbps: fields.required("bandwidth_per_nic_gbps", float_from_0),
            is_counted: fields.required("counted", boolean),
            tdp: fields.optional("tdp_per_nic", Sourced::read),
            is_excluded_from_published: excluded.is_some_and(|text| !text.is_empty()),
        }
    }
}

impl Switch {
    fn read(value: &Value, problems: &mut Problems) -> Self {
        let mut fields = fields!(value, problems);
        Self {
            model: fields.required("model", string),
            count: fields.required("count", int_from(1)),
            tbps: fields.required("bandwidth_tbps", float_from_0),
            power: fields.optional("power_per_switch", Sourced::read),
        }
    }
}

impl Computed {
    fn read(value: &Value, problems: &mut Problems) -> Self {
        let mut fields = fields!(value, problems);
        Self {
            watts: COMPUTED.map(|name| fields.optional(name, float)),
            overhead: fields.optional("overhead_fraction", float),
        }
    }
}
