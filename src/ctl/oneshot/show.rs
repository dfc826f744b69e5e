//! HAVIPs for people and for programs.

use crate::control::protocol::Response;
use havipd_core::model::cloud::HaVip;
use serde_json::json;

/// What stands for nothing in a table.
const NONE: &str = "-";

/// Several, one a line.
pub(super) fn list(all: &[HaVip]) -> Response {
    let mut rows = vec![["HAVIP", "ADDRESS", "STATUS", "HOLDER", "ALSO BOUND"].map(str::to_owned)];
    rows.extend(all.iter().map(|havip| {
        let holder = havip.holder();
        let others: Vec<&str> =
            havip.binded_instances.iter().map(|b| b.instance_id.as_str()).filter(|id| Some(*id) != holder).collect();
        [
            havip.ha_vip_id.clone(),
            havip.private_ip_address.map_or_else(|| NONE.to_owned(), |ip| ip.to_string()),
            or_none(&havip.status).to_owned(),
            holder.unwrap_or(NONE).to_owned(),
            or_none(&others.join(",")).to_owned(),
        ]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..5).map(width).collect();
    let line = |row: &[String; 5]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    let text: Vec<String> = rows.iter().map(line).collect();
    Response::done(text.join("\n")).with_data(json!({ "havips": all }))
}

/// One, in full.
pub(super) fn one(havip: &HaVip) -> Response {
    let address = havip.private_ip_address.map_or_else(|| NONE.to_owned(), |ip| ip.to_string());
    let mut lines = vec![
        format!("{} {}", havip.ha_vip_id, havip.name).trim_end().to_owned(),
        format!("address  {address}"),
        format!("public   {}", havip.public_ip_address.as_deref().map_or(NONE, or_none)),
        format!("subnet   {}, VPC {}", or_none(&havip.subnet_id), or_none(&havip.vpc_id)),
        format!("status   {}", or_none(&havip.status)),
        format!("holder   {}", havip.holder().unwrap_or(NONE)),
    ];
    for bound in &havip.binded_instances {
        let master = match bound.master {
            Some(true) => "master",
            Some(false) => "not master",
            None => "the cloud does not say whether it is master",
        };
        lines.push(format!("bound    {} ({}), {master}", bound.instance_id, or_none(&bound.instance_type)));
    }
    Response::done(lines.join("\n")).with_data(json!(havip))
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { NONE } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn havip(json: serde_json::Value) -> HaVip {
        serde_json::from_value(json).expect("a HAVIP")
    }

    #[test]
    fn a_table_says_who_has_what() {
        let a = havip(json!({"haVipId": "havip-1", "privateIpAddress": "10.0.0.9", "status": "binded",
            "bindedInstances": [{"instanceId": "i-b", "instanceType": "SERVER", "master": false},
                                {"instanceId": "i-a", "instanceType": "SERVER", "master": true}]}));
        let b = havip(json!({"haVipId": "havip-22", "privateIpAddress": null}));
        assert_eq!(
            list(&[a.clone(), b]).message,
            "HAVIP     ADDRESS   STATUS  HOLDER  ALSO BOUND\n\
             havip-1   10.0.0.9  binded  i-a     i-b\n\
             havip-22  -         -       -       -"
        );
        assert!(
            one(&a).message.ends_with("holder   i-a\nbound    i-b (SERVER), not master\nbound    i-a (SERVER), master")
        );
    }
}
