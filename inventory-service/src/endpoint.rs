//! The table of the API: which methods and routes there are, what they are called as business operations and what they
//! answer. The router is tested against it; `/openapi.json`, the counters born at zero and `/catalogue` are made from it.

/// One method on one route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// HTTP method.
    pub method: &'static str,
    /// Route template, as in the `route` label.
    pub route: &'static str,
    /// The business operation behind it, as in the `operation` label; `None` for documents.
    pub operation: Option<&'static str>,
    /// One line for people.
    pub summary: &'static str,
    /// The status of success.
    pub success: u16,
    /// The 4xx it can answer by itself.
    pub refusals: &'static [u16],
}

/// The `route` label of requests that no route matches.
pub const UNMATCHED: &str = "unmatched";

/// The status that is counted and logged when the client went away before there was an answer.
pub const CLIENT_CLOSED: u16 = 499;

/// What every endpoint may answer when the service fails, and what proxies and fault switches put in its place; their
/// counters exist from the start, so that the first error is an increase and not a birth.
pub const FAILURES: [u16; 4] = [500, 502, 503, 504];

const ITEMS: &str = "/api/items";
const ITEM: &str = "/api/items/{sku}";

/// All endpoints.
pub const ENDPOINTS: [Endpoint; 9] = [
    Endpoint {
        method: "GET",
        route: ITEMS,
        operation: Some("list_items"),
        summary: "List items by SKU",
        success: 200,
        refusals: &[400],
    },
    Endpoint {
        method: "POST",
        route: ITEMS,
        operation: Some("create_item"),
        summary: "Create an item",
        success: 201,
        refusals: &[400, 408, 409, 413, 415],
    },
    Endpoint {
        method: "GET",
        route: ITEM,
        operation: Some("read_item"),
        summary: "Read an item",
        success: 200,
        refusals: &[400, 404],
    },
    Endpoint {
        method: "PUT",
        route: ITEM,
        operation: Some("replace_item"),
        summary: "Replace an item",
        success: 200,
        refusals: &[400, 404, 408, 413, 415],
    },
    Endpoint {
        method: "DELETE",
        route: ITEM,
        operation: Some("delete_item"),
        summary: "Delete an item without open reservations",
        success: 204,
        refusals: &[400, 404, 409],
    },
    Endpoint {
        method: "POST",
        route: "/api/items/{sku}/adjust",
        operation: Some("adjust_stock"),
        summary: "Move stock in or out, never below zero",
        success: 200,
        refusals: &[400, 404, 408, 409, 413, 415],
    },
    Endpoint {
        method: "POST",
        route: "/api/items/{sku}/reserve",
        operation: Some("reserve_stock"),
        summary: "Set stock aside",
        success: 201,
        refusals: &[400, 404, 408, 409, 413, 415],
    },
    Endpoint {
        method: "DELETE",
        route: "/api/reservations/{id}",
        operation: Some("release_reservation"),
        summary: "Give reserved stock back",
        success: 204,
        refusals: &[400, 404, 409],
    },
    Endpoint {
        method: "GET",
        route: "/openapi.json",
        operation: None,
        summary: "This description",
        success: 200,
        refusals: &[],
    },
];

impl Endpoint {
    /// Every status it can answer by itself.
    pub fn statuses(&self) -> impl Iterator<Item = u16> {
        std::iter::once(self.success).chain(self.refusals.iter().copied()).chain(FAILURES)
    }
}

/// The business operation of a method on a route.
#[must_use]
pub fn operation(method: &str, route: &str) -> Option<&'static str> {
    ENDPOINTS.iter().find(|endpoint| endpoint.method == method && endpoint.route == route)?.operation
}

/// The template of `route` as a constant, so that labels need no allocation; [`UNMATCHED`] for anything else.
#[must_use]
pub fn route_label(route: Option<&str>) -> &'static str {
    let known = ENDPOINTS.iter().find(|endpoint| Some(endpoint.route) == route);
    known.map_or(UNMATCHED, |endpoint| endpoint.route)
}

/// The method as a constant; `OTHER` for methods that nobody should use, so that callers cannot make series.
#[must_use]
pub fn method_label(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("OTHER")
}
