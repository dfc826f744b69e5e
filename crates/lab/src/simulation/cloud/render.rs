//! Answers as HTTP: status, headers and the JSON that the real service sends.
//!
//! Members that the typed documents leave out (creation time, addresses of an interface) are
//! filled in here, so that official SDKs find what they know; and here the profile's ways of
//! writing "nothing" (absent, null, empty) become visible.

use super::profile::{EmptyList, MasterFlag};
use super::request::{Answer, ErrorReply, MAX_KEYS, Reply};
use super::{CloudModel, InterfaceSpec};
use havipd_core::model::cloud::{EniPage, HaVip, HaVipPage, InstancePage};
use serde_json::{Map, Value, json};

/// One HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpReply {
    /// Status.
    pub status: u16,
    /// Headers, names in lower case; those of the connection and `date` are not among them.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: String,
}

impl HttpReply {
    fn new(status: u16, content_type: &str, request_id: &str, body: String) -> Self {
        let headers = vec![("content-type", content_type.to_owned()), ("x-bce-request-id", request_id.to_owned())];
        Self { status, headers, body }
    }
}

const JSON: &str = "application/json;charset=UTF-8";
const CREATED: &str = "2026-01-01T00:00:00Z";

impl CloudModel {
    /// The answer as HTTP; `None` where there is none ([`Answer::Reset`], [`Answer::Never`]).
    ///
    /// [`Reply::Credential`] gives an empty body, which the issuer of credentials replaces.
    pub fn render(&mut self, answer: &Answer) -> Option<HttpReply> {
        let id = self.request_id();
        match answer {
            Answer::Reset | Answer::Never => None,
            Answer::Garbled => Some(HttpReply::new(200, JSON, &id, "{\"haVipId\":\"havip-".to_owned())),
            Answer::Reply(Err(error)) => Some(render_error(error, &id)),
            Answer::Reply(Ok(reply)) => Some(self.render_reply(reply, &id)),
        }
    }

    fn request_id(&mut self) -> String {
        let n = self.rng.u128(..);
        let hex = format!("{n:032x}");
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    fn render_reply(&self, reply: &Reply, id: &str) -> HttpReply {
        let document = match reply {
            Reply::HaVip(havip) => self.havip_json(havip),
            Reply::Page(page) => self.page_json(page),
            Reply::Enis(page) => self.enis_json(page),
            Reply::Interface(eni) => self.interfaces.get(&eni.eni_id).map_or(Value::Null, interface_json),
            Reply::Instance(detail) => {
                let instance = &detail.instance;
                json!({"instance": self.instance_json(&instance.id, &instance.status)})
            }
            Reply::Instances(page) => self.instances_json(page),
            Reply::Done | Reply::Credential => return HttpReply::new(200, JSON, id, String::new()),
            Reply::Text(text) => return HttpReply::new(200, "text/plain; charset=utf-8", id, text.clone()),
        };
        HttpReply::new(200, JSON, id, document.to_string())
    }

    fn havip_json(&self, havip: &HaVip) -> Value {
        let mut object = Map::new();
        for (key, value) in [
            ("haVipId", &havip.ha_vip_id),
            ("name", &havip.name),
            ("vpcId", &havip.vpc_id),
            ("subnetId", &havip.subnet_id),
            ("status", &havip.status),
        ] {
            object.insert(key.to_owned(), json!(value));
        }
        object.insert("description".to_owned(), json!(""));
        object.insert("privateIpAddress".to_owned(), json!(havip.private_ip_address));
        object.insert("createdTime".to_owned(), json!(CREATED));
        let bound: Vec<Value> = havip
            .binded_instances
            .iter()
            .map(|b| {
                let mut entry = json!({"instanceId": b.instance_id, "instanceType": b.instance_type});
                let null = matches!(self.profile.master_flag, MasterFlag::Null | MasterFlag::NullElsewhere);
                if b.master.is_some() || null {
                    entry["master"] = json!(b.master);
                }
                entry
            })
            .collect();
        let shown = match (bound.is_empty(), self.profile.empty_list) {
            (true, EmptyList::Absent) => None,
            (true, EmptyList::Null) => Some(Value::Null),
            _ => Some(Value::Array(bound)),
        };
        if let Some(bound) = shown {
            object.insert("bindedInstances".to_owned(), bound);
        }
        Value::Object(object)
    }

    fn page_json(&self, page: &HaVipPage) -> Value {
        let havips: Vec<Value> = page.ha_vips.iter().map(|h| self.havip_json(h)).collect();
        let mut value = json!({"haVips": havips, "isTruncated": page.is_truncated, "maxKeys": MAX_KEYS});
        if let Some(first) = page.ha_vips.first() {
            value["marker"] = json!(first.ha_vip_id);
        }
        if let Some(next) = &page.next_marker {
            value["nextMarker"] = json!(next);
        }
        value
    }

    fn enis_json(&self, page: &EniPage) -> Value {
        let known = page.enis.iter().filter_map(|e| self.interfaces.get(&e.eni_id));
        let enis: Vec<Value> = known.map(interface_json).collect();
        json!({"enis": enis, "isTruncated": page.is_truncated, "maxKeys": MAX_KEYS})
    }

    fn instances_json(&self, page: &InstancePage) -> Value {
        let instances: Vec<Value> = page.instances.iter().map(|i| self.instance_json(&i.id, &i.status)).collect();
        let mut value = json!({"instances": instances, "isTruncated": page.is_truncated, "maxKeys": MAX_KEYS});
        if let Some(next) = &page.next_marker {
            value["nextMarker"] = json!(next);
        }
        value
    }

    fn instance_json(&self, id: &str, status: &str) -> Value {
        let mut value = json!({"id": id, "status": status, "createTime": CREATED});
        if let Some(known) = self.instances.get(id) {
            value["name"] = json!(known.name);
            value["vpcId"] = json!(known.vpc);
            value["subnetId"] = json!(known.subnet);
            value["internalIp"] = json!(known.address);
            value["nicInfo"] = json!({
                "eniId": "", "macAddress": known.mac, "vpcId": known.vpc, "subnetId": known.subnet,
                "ips": [{"privateIp": known.address, "primary": "true"}],
            });
        }
        value
    }
}

fn interface_json(i: &InterfaceSpec) -> Value {
    json!({
        "eniId": i.id, "name": i.id, "zoneName": "zoneA", "description": "",
        "instanceId": i.instance, "macAddress": i.mac, "vpcId": i.vpc, "subnetId": i.subnet,
        "status": "inuse", "createdTime": CREATED, "securityGroupIds": [],
        "privateIpSet": [{"primary": true, "privateIpAddress": i.address, "publicIpAddress": ""}],
    })
}

/// An error as the service writes it; `id` is the request id. One without a code has an empty body,
/// as errors of the balancers in front of the service may have.
fn render_error(error: &ErrorReply, id: &str) -> HttpReply {
    let body = json!({"code": error.code, "message": error.message, "requestId": id});
    let body = if error.code.is_empty() { String::new() } else { body.to_string() };
    let mut reply = HttpReply::new(error.status, JSON, id, body);
    let seconds = error.retry_after.map(|after| after.as_secs().to_string());
    if let Some(after) = error.retry_after_text.clone().or(seconds) {
        reply.headers.push(("retry-after", after));
    }
    reply
}
