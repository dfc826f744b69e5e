//! What others do to the region behind the daemon's back.

use super::binding::BOUND_MAX;
use super::objects::{BoundTarget, HavipSpec, InstanceSpec, InterfaceSpec, RUNNING, TargetKind};
use super::{CloudModel, MasterChange};
use havipd_core::model::plain::quote;
use havipd_core::model::time::Instant;
use std::net::Ipv4Addr;

/// Why a command to the model cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// No such HAVIP, instance or interface.
    #[error("{} does not exist", quote(.0))]
    Unknown(String),
    /// Such a HAVIP exists.
    #[error("there is a {} already", quote(.0))]
    Known(String),
    /// The target is not bound to the HAVIP.
    #[error("{} is not bound to {}", quote(target), quote(havip))]
    NotBound {
        /// The HAVIP.
        havip: String,
        /// The target.
        target: String,
    },
}

impl CloudModel {
    /// Makes a bound target the master, as the console or the fabric itself might.
    ///
    /// # Errors
    /// [`ModelError::Unknown`], [`ModelError::NotBound`]; nothing has changed then.
    pub fn force_master(&mut self, now: Instant, havip: &str, target: &str) -> Result<(), ModelError> {
        let done = self.change(now, havip, |binding| {
            let bound = binding.binds(target);
            if bound {
                binding.force(target);
            }
            bound
        });
        Self::must_be_bound(done, havip, target)
    }

    /// Unbinds a target, master or not.
    ///
    /// # Errors
    /// [`ModelError::Unknown`], [`ModelError::NotBound`].
    pub fn unbind(&mut self, now: Instant, havip: &str, target: &str) -> Result<(), ModelError> {
        let profile = self.profile.clone();
        let done = self.change(now, havip, |binding| binding.remove(&profile, target));
        Self::must_be_bound(done, havip, target)
    }

    fn must_be_bound(done: Option<bool>, havip: &str, target: &str) -> Result<(), ModelError> {
        match done {
            None => Err(ModelError::Unknown(havip.to_owned())),
            Some(false) => Err(ModelError::NotBound { havip: havip.to_owned(), target: target.to_owned() }),
            Some(true) => Ok(()),
        }
    }

    /// Creates a HAVIP to which nobody is bound.
    ///
    /// # Errors
    /// [`ModelError::Known`].
    pub fn create_havip(&mut self, now: Instant, spec: HavipSpec) -> Result<(), ModelError> {
        if self.havips.contains_key(&spec.id) {
            return Err(ModelError::Known(spec.id));
        }
        self.add_havip(now, spec);
        Ok(())
    }

    /// Deletes a HAVIP with its bindings.
    ///
    /// # Errors
    /// [`ModelError::Unknown`].
    pub fn delete_havip(&mut self, now: Instant, havip: &str) -> Result<(), ModelError> {
        self.havips.remove(havip).ok_or_else(|| ModelError::Unknown(havip.to_owned()))?;
        self.visible_at.insert(now);
        Ok(())
    }

    /// Gives an instance a status; only a running one receives and is heard.
    ///
    /// # Errors
    /// [`ModelError::Unknown`].
    pub fn set_instance_status(&mut self, now: Instant, instance: &str, status: &str) -> Result<(), ModelError> {
        let spec = self.instances.get_mut(instance).ok_or_else(|| ModelError::Unknown(instance.to_owned()))?;
        status.clone_into(&mut spec.status);
        self.visible_at.insert(now);
        Ok(())
    }

    /// Stops an instance.
    ///
    /// # Errors
    /// [`ModelError::Unknown`].
    pub fn stop_instance(&mut self, now: Instant, instance: &str) -> Result<(), ModelError> {
        self.set_instance_status(now, instance, "Stopped")
    }

    /// Starts an instance.
    ///
    /// # Errors
    /// [`ModelError::Unknown`].
    pub fn start_instance(&mut self, now: Instant, instance: &str) -> Result<(), ModelError> {
        self.set_instance_status(now, instance, RUNNING)
    }

    /// Binds strangers until no more fit, whatever the profile says of masters; returns their ids.
    ///
    /// # Errors
    /// [`ModelError::Unknown`].
    pub fn fill_quota(&mut self, now: Instant, havip: &str) -> Result<Vec<String>, ModelError> {
        let known = self.havips.get(havip).ok_or_else(|| ModelError::Unknown(havip.to_owned()))?;
        let (vpc, subnet) = (known.spec.vpc.clone(), known.spec.subnet.clone());
        let bound = &known.timeline.current().bound;
        let kind = bound.first().map_or(TargetKind::Server, |b| b.kind);
        let free = BOUND_MAX - bound.len();
        let taken: Vec<String> = bound.iter().map(|b| b.id.clone()).collect();
        let name = |n: usize| match kind {
            TargetKind::Server => format!("i-stranger{n}"),
            TargetKind::Eni => format!("eni-stranger{n}"),
        };
        let ids: Vec<String> = (1..).map(name).filter(|id| !taken.contains(id)).take(free).collect();
        for id in &ids {
            let instance = InstanceSpec::new(&id.replace("eni-", "i-"), Ipv4Addr::UNSPECIFIED);
            if kind == TargetKind::Eni {
                let eni = InterfaceSpec::new(id, &instance.id, &instance.mac, instance.address);
                self.add_interface(InterfaceSpec { vpc: vpc.clone(), subnet: subnet.clone(), ..eni });
            }
            self.add_instance(InstanceSpec { vpc: vpc.clone(), subnet: subnet.clone(), ..instance });
        }
        let added: Vec<BoundTarget> = ids.iter().map(|id| BoundTarget { id: id.clone(), kind }).collect();
        self.change(now, havip, |binding| binding.bound.extend(added));
        Ok(ids)
    }

    /// Where packets for each HAVIP go, as last reported by [`CloudModel::advance`].
    #[must_use]
    pub fn reported(&self) -> Vec<MasterChange> {
        self.reported.values().cloned().collect()
    }
}
