//! The scenario that `harness new` writes: small, complete, and clean but for the names the author has to choose.

/// A scenario to start from; `name` must be kebab-case.
#[must_use]
pub fn template(name: &str) -> String {
    format!(
        r#"# What an author can say: docs/scenarios.md. Check it with `harness lint`, look at its plan with `harness explain {name}`.
name    = "{name}"
summary = "The service answers a third of its requests with 503: the pager rings in time, and the logs say why."
tags    = ["new"]

[timeline]                                   # scenario time is production time; a run divides it by the time scale
baseline = "10m"                             # steady state, before any fault
recovery = "20m"                             # after the last fault is gone

[[load]]
name    = "shoppers"
open    = {{ rate = 200, arrivals = "poisson", ramp = "1m" }}
timeout = "2s"

[[load.request]]
name   = "list items"
get    = "/api/items?limit=20"
expect = {{ status = [200] }}

[[fault]]
id = "errors"
at = "0s"                                    # from the end of the baseline
for = "15m"
inject.errors = {{ share = "30%", status = 503 }}

[[expect]]                                   # before the fault: the traffic is what it should be
during = "baseline"
that.load = {{ name = "shoppers", p99 = "< 250ms", errors = "< 0.1%", achieved = ">= 99%" }}

[[expect]]                                   # while it is on: the alert keeps the team's promise
during = "errors"
that.alert = {{ name = "InventoryHighErrorRate", fires-within = "8m", resolves-within = "15m" }}

[[expect]]                                   # and somebody is told
during = "errors"
that.notification = {{ receiver = "pager", alert = "InventoryHighErrorRate", within = "9m", resolved = true }}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_a_scenario() {
        let loaded = crate::scenario::load_text("new.toml", &template("my-drill")).unwrap();
        assert_eq!(loaded.scenario.name.get(), "my-drill");
        assert_eq!(loaded.scenario.expect.len(), 3);
    }
}
