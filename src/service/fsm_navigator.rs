//! FSM Navigator, a field service management system: error codes, routes, values, key and error format.
//!
//! The codes are based on [`SOURCES`], as read on 2026-11-21. The routes and the values are based on the documentation
//! that each of them names, as read on 2026-11-26.

use http::{HeaderMap, Method, StatusCode};
use url::Url;

use super::route::{RouteInfo, routes};
use super::values::values;
use super::{Service, SupportsDelete, XApiKey};
use crate::catalog::Scope;
use crate::error::ErrorBody;
use crate::limiter::Lane;

/// The vendor's documentation on which the table is based.
pub const SOURCES: &[&str] = &["https://fsmnavigator.com/docs/api/error-codes/"];

/// Reads of lists.
const LISTS: Lane = Lane::new(0, "lists");
/// Reads of single records.
const RECORDS: Lane = Lane::new(1, "records");
/// Requests that change something.
const WRITES: Lane = Lane::new(2, "writes");

/// The field service management system FSM Navigator.
#[derive(Clone, Copy, Debug)]
pub struct FsmNavigator;

impl Service for FsmNavigator {
    type Code = Code;
    type Key = ApiKey;

    const BASE_URL: &'static str = "https://fsmnavigator.com/api/v1";
    const ENV: &'static str = "FSM_NAVIGATOR";
    const ROUTES: &'static [&'static RouteInfo] = ROUTES;
    const SCOPE_CODES: &'static [Code] = &[Code::Forbidden, Code::ScopeNotAuthorized];

    /// Lists, single records and writes have a limit each, in one of the documented classes. A list below a record,
    /// such as its locations, counts as a list. The routes that the documentation assigns to a class have that lane.
    fn lane(method: &Method, url: &Url) -> Lane {
        let has = |wanted: &str| url.query_pairs().any(|(name, _)| name == wanted);
        match *method {
            Method::GET | Method::HEAD if has("id") && !has("sub") && !has("locations") => RECORDS,
            Method::GET | Method::HEAD => LISTS,
            _ => WRITES,
        }
    }

    fn read_error(_: StatusCode, _: &HeaderMap, body: &[u8]) -> Option<ErrorBody> {
        ErrorBody::from_json(body, "error")
    }
}

// The documentation lists no DELETE route, but its example of a 405 is a DELETE on a read-only endpoint. Other
// endpoints may accept it.
impl SupportsDelete for FsmNavigator {}

/// A key of FSM Navigator, such as `fsm_live_…` or `fsm_test_…`, sent as `X-API-Key`.
pub type ApiKey = XApiKey<FsmNavigator>;

/// A documented route of FSM Navigator. IDs and parts of a record are parameters of the query.
///
/// Lists take `page`, from 1, and `per_page`, at most 100 and 50 by default. DELETE routes are not documented.
pub type Route = super::Route<FsmNavigator>;

crate::error_codes! {
    /// The documented error codes of FSM Navigator.
    pub enum Code of "fsm-navigator" at SOURCES {
        // variant                  wire code                    status  category         retry          effect

        /// A required field is missing, or the value of a field is invalid.
        /// Compare the body with the endpoint's documentation; the message usually names the field.
        ValidationFailed        =  "validation_failed"           400     InvalidRequest   Unstated       None

        /// The request lacks a required field.
        /// Add the required field.
        MissingRequiredField    =  "missing_required_field"      400     InvalidRequest   Unstated       None

        /// The resource cannot change from its current status to the requested one.
        /// Look up the valid transitions in the resource's documentation.
        InvalidStatusTransition =  "invalid_status_transition"   400     InvalidRequest   Unstated       None

        /// The asset has no such meter.
        /// Set up the asset's meters in the dashboard first.
        MeterNotFound           =  "meter_not_found"             400     InvalidRequest   Unstated       None

        /// The request has no key, or its key is invalid or revoked.
        /// Check that `X-API-Key` contains a valid key; after a key rotation, update every integration.
        Unauthorized            =  "unauthorized"                401     Unauthenticated  Unstated       None

        /// The key's scopes do not cover the permission that the request needs.
        /// Extend the key's scopes under Settings > API Keys.
        Forbidden               =  "forbidden"                   403     Forbidden        Unstated       None

        /// The request came from an IP address that is not on the key's allowlist.
        /// Add the address to the allowlist, or remove the restriction.
        IpNotAllowed            =  "ip_not_allowed"              403     Forbidden        Unstated       None

        /// The key lacks the scope that the operation requires.
        /// Add the scope to the key under Settings > API Keys.
        ScopeNotAuthorized      =  "scope_not_authorized"        403     Forbidden        Unstated       None

        /// No resource has this ID, or the key cannot access it.
        /// Check the ID, and that the resource belongs to your company.
        NotFound                =  "not_found"                   404     NotFound         Unstated       Possible

        /// The endpoint does not support the HTTP method.
        /// Look up the supported methods in the endpoint's documentation.
        MethodNotAllowed        =  "method_not_allowed"          405     InvalidRequest   Unstated       None

        /// Another customer has the same email address.
        /// Use or update the existing customer instead.
        DuplicateCustomer       =  "duplicate_customer"          409     Conflict         Unstated       Possible

        /// The key sent too many requests in the current window.
        /// Wait for the time in `Retry-After`, then send fewer requests at a time.
        RateLimitExceeded       =  "rate_limit_exceeded"         429     RateLimited      Backoff        None

        /// The service failed with an internal error.
        /// Retry after 5 to 10 s if resending is safe; if the error persists, send support the method, path and time.
        ServerError             =  "server_error"                500     Unavailable      After(5..=10)  Possible
    }
    answers {
        // statuses   category         retry          effect

        /// The request is malformed, or its data is invalid.
        /// Read the message, which describes the failed rule and usually names the field.
        400..=400     InvalidRequest   Unstated       None

        /// The request has no key, or its key was not accepted.
        /// Check that `X-API-Key` contains a valid key.
        401..=401     Unauthenticated  Unstated       None

        /// The key does not permit the request.
        /// Check the key's scopes and its IP allowlist under Settings > API Keys.
        403..=403     Forbidden        Unstated       None

        /// The resource was not found.
        /// Check the path and the ID.
        404..=404     NotFound         Unstated       None

        /// The endpoint does not support the HTTP method.
        /// Look up the supported methods in the endpoint's documentation.
        405..=405     InvalidRequest   Unstated       None

        /// The request is in conflict with the resource's current state.
        /// Read the resource again, then decide how to proceed.
        409..=409     Conflict         Unstated       Possible

        /// The key sent too many requests.
        /// Wait for the time in `Retry-After`, then send fewer requests at a time.
        429..=429     RateLimited      Backoff        None

        /// The service failed with an internal error.
        /// Retry after 5 to 10 s if resending is safe; if the error persists, send support the method, path and time.
        500..=500     Unavailable      After(5..=10)  Possible
    }
}

/// Makes a [`Scope`] of a name.
macro_rules! scope {
    ($name:literal) => {
        Scope::new($name, concat!("Add the scope `", $name, "` to the key under Settings > API Keys."))
    };
}

routes! {
    FsmNavigator;

    "https://fsmnavigator.com/docs/api/jobs/" {
        // route                     method template                                scope                 lane     list

        /// Lists the jobs.
        Jobs                       = GET    "/jobs"                                 "jobs:read"           LISTS    ["data"]

        /// Reads a job.
        Job(id)                    = GET    "/jobs?id={id}"                         "jobs:read"           RECORDS

        /// Creates a job.
        CreateJob                  = POST   "/jobs"                                 "jobs:write"          WRITES

        /// Updates a job.
        UpdateJob(id)              = PUT    "/jobs?id={id}"                         "jobs:write"          WRITES

        /// Sets the status of a job; see [`JobStatus`].
        SetJobStatus(id)           = PATCH  "/jobs?id={id}"                         "jobs:write"          WRITES
    }
    "https://fsmnavigator.com/docs/api/customers/" {
        /// Lists the customers. Filters are `search`, `created_after`, `created_before` and `has_locations` (1 or 0).
        Customers                  = GET    "/customers"                            "customers:read"      LISTS    ["data"]

        /// Reads a customer.
        Customer(id)               = GET    "/customers?id={id}"                    "customers:read"      RECORDS

        /// Reads a customer with its locations.
        CustomerWithLocations(id)  = GET    "/customers?id={id}&include=locations"  "customers:read"      RECORDS

        /// Lists the locations of a customer.
        CustomerLocations(id)      = GET    "/customers?id={id}&locations=1"        "customers:read"

        /// Creates a customer.
        CreateCustomer             = POST   "/customers"                            "customers:write"     WRITES

        /// Updates a customer.
        UpdateCustomer(id)         = PUT    "/customers?id={id}"                    "customers:write"     WRITES

        /// Creates a location of a customer.
        CreateCustomerLocation(id) = POST   "/customers?id={id}&locations=1"        "customers:write"     WRITES

        /// Updates a location of a customer.
        UpdateCustomerLocation(id, location_id)
                                   = PUT    "/customers?id={id}&locations=1&location_id={location_id}"
                                                                                   "customers:write"     WRITES
    }
    "https://fsmnavigator.com/docs/api/assets/" {
        /// Lists the assets. Filters include `status` (see [`AssetStatus`]), `asset_type_id`, `condition` and `search`.
        Assets                     = GET    "/assets"                               "assets:read"         LISTS    ["data"]

        /// Reads an asset.
        Asset(id)                  = GET    "/assets?id={id}"                       "assets:read"         RECORDS

        /// Reads the service history of an asset.
        AssetServiceHistory(id)    = GET    "/assets?id={id}&sub=service_history"   "assets:read"

        /// Creates an asset.
        CreateAsset                = POST   "/assets"                               "assets:write"        WRITES

        /// Updates an asset.
        UpdateAsset(id)            = PUT    "/assets?id={id}"                       "assets:write"        WRITES

        /// Sets the status of an asset; see [`AssetStatus`].
        SetAssetStatus(id)         = PATCH  "/assets?id={id}"                       "assets:write"        WRITES

        /// Adds a service record to an asset.
        AddServiceRecord(id)       = POST   "/assets?id={id}&sub=service"           "assets:service"      WRITES

        /// Adds a meter reading to an asset. It must not be below the last one.
        AddMeterReading(id)        = POST   "/assets?id={id}&sub=meter_reading"     "assets:meter"        WRITES

        /// Transfers an asset.
        TransferAsset(id)          = POST   "/assets?id={id}&sub=transfer"          "assets:transfer"     WRITES
    }
    "https://fsmnavigator.com/docs/api/inventory/" {
        /// Lists the items of the inventory.
        Inventory                  = GET    "/inventory"                            "inventory:read"      LISTS    ["data"]

        /// Lists the locations of the inventory.
        InventoryLocations         = GET    "/inventory?sub=locations"              "inventory:read"      LISTS    ["data"]

        /// Lists the items whose stock is low.
        LowStock                   = GET    "/inventory?sub=low-stock"              "inventory:read"      LISTS    ["data"]

        /// Reads an item of the inventory.
        InventoryItem(id)          = GET    "/inventory?id={id}"                    "inventory:read"      RECORDS

        /// Reads the stock of an item.
        InventoryStock(id)         = GET    "/inventory?id={id}&sub=stock"          "inventory:read"

        /// Reads the transactions of an item.
        InventoryTransactions(id)  = GET    "/inventory?id={id}&sub=transactions"   "inventory:read"

        /// Reads a location of the inventory.
        InventoryLocation(location_id)
                                   = GET    "/inventory?sub=locations&location_id={location_id}"
                                                                                   "inventory:read"

        /// Creates an item. The scope includes reading.
        CreateInventoryItem        = POST   "/inventory"                            "inventory:write"     WRITES

        /// Updates an item, with PUT. The scope includes reading.
        UpdateInventoryItem(id)    = PUT    "/inventory?id={id}"                    "inventory:write"     WRITES

        /// Updates an item, with PATCH. The scope includes reading.
        PatchInventoryItem(id)     = PATCH  "/inventory?id={id}"                    "inventory:write"     WRITES

        /// Adjusts the stock of an item. The scope includes reading.
        AdjustStock(id)            = POST   "/inventory?id={id}&sub=adjust"         "inventory:write"     WRITES

        /// Transfers stock between locations. The scope includes neither reading nor writing.
        TransferStock              = POST   "/inventory?sub=transfer"               "inventory:transfer"  WRITES
    }
    "https://fsmnavigator.com/docs/api/technicians/" {
        /// Lists the technicians.
        Technicians                = GET    "/technicians"                          "technicians:read"    LISTS    ["data"]

        /// Reads a technician.
        Technician(id)             = GET    "/technicians?id={id}"                  "technicians:read"    RECORDS
    }
}

values! {
    /// A status of a job (`https://fsmnavigator.com/docs/api/jobs/`). The API may accept fewer than the web app, whose
    /// documentation lists them.
    pub enum JobStatus {
        Pending    = "Pending"
        Assigned   = "Assigned"
        InTransit  = "In-Transit"
        Arrived    = "Arrived"
        InProgress = "In Progress"
        OnHold     = "On Hold"
        Completed  = "Completed"
        Cancelled  = "Cancelled"
        Declined   = "Declined"
    }
}

values! {
    /// A priority of a job (`https://fsmnavigator.com/docs/api/jobs/`).
    pub enum JobPriority {
        Low    = "Low"
        Medium = "Medium"
        High   = "High"
        Urgent = "Urgent"
    }
}

values! {
    /// A status of an asset (`https://fsmnavigator.com/docs/api/assets/`). `In Transit` has a space here and a hyphen
    /// in [`JobStatus`]. An asset that is decommissioned or retired keeps that status.
    pub enum AssetStatus {
        Active         = "Active"
        Idle           = "Idle"
        InMaintenance  = "In Maintenance"
        PendingInstall = "Pending Install"
        InTransit      = "In Transit"
        Lost           = "Lost"
        NonCompliant   = "Non-Compliant"
        Decommissioned = "Decommissioned"
        Retired        = "Retired"
    }
}
