//! The documented routes: their requests, scopes, lanes and lists, and the values that requests send.

use std::sync::Mutex;

use http::{Method, Response};
use serde_json::json;
use steadfast::abaco::{EntryStatus, EntryType, Route as AbacoRoute};
use steadfast::fsm_navigator::{AssetStatus, Code, JobPriority, JobStatus, Route as FsmRoute};
use steadfast::testing::MockService;
use steadfast::transport::{HttpRequest, SendFuture};
use steadfast::{
    Abaco, ApiError, BuildErrorKind, Client, FsmNavigator, Lane, Request, Route, Service, Stayforge, Transport, abaco,
    fsm_navigator,
};
use url::Url;

/// A route, its request with the IDs 7 and 8, and the documented scope and class of its limit.
type Row<S> = (Route<S>, &'static str, Option<&'static str>, Option<&'static str>);

fn fsm_navigator_routes() -> Vec<Row<FsmNavigator>> {
    let row = |route, request, scope, lane: &'static str| {
        (route, request, Some(scope), Some(lane).filter(|lane| *lane != "unknown"))
    };
    let transactions = FsmRoute::InventoryTransactions(7);
    let (location, change) = ("GET /inventory?sub=locations&location_id=7", FsmRoute::UpdateCustomerLocation(7, 8));
    vec![
        row(FsmRoute::Jobs, "GET /jobs", "jobs:read", "lists"),
        row(FsmRoute::Job(7), "GET /jobs?id=7", "jobs:read", "records"),
        row(FsmRoute::CreateJob, "POST /jobs", "jobs:write", "writes"),
        row(FsmRoute::UpdateJob(7), "PUT /jobs?id=7", "jobs:write", "writes"),
        row(FsmRoute::SetJobStatus(7), "PATCH /jobs?id=7", "jobs:write", "writes"),
        row(FsmRoute::Customers, "GET /customers", "customers:read", "lists"),
        row(FsmRoute::Customer(7), "GET /customers?id=7", "customers:read", "records"),
        row(FsmRoute::CustomerWithLocations(7), "GET /customers?id=7&include=locations", "customers:read", "records"),
        row(FsmRoute::CustomerLocations(7), "GET /customers?id=7&locations=1", "customers:read", "unknown"),
        row(FsmRoute::CreateCustomer, "POST /customers", "customers:write", "writes"),
        row(FsmRoute::UpdateCustomer(7), "PUT /customers?id=7", "customers:write", "writes"),
        row(FsmRoute::CreateCustomerLocation(7), "POST /customers?id=7&locations=1", "customers:write", "writes"),
        row(change, "PUT /customers?id=7&locations=1&location_id=8", "customers:write", "writes"),
        row(FsmRoute::Assets, "GET /assets", "assets:read", "lists"),
        row(FsmRoute::Asset(7), "GET /assets?id=7", "assets:read", "records"),
        row(FsmRoute::AssetServiceHistory(7), "GET /assets?id=7&sub=service_history", "assets:read", "unknown"),
        row(FsmRoute::CreateAsset, "POST /assets", "assets:write", "writes"),
        row(FsmRoute::UpdateAsset(7), "PUT /assets?id=7", "assets:write", "writes"),
        row(FsmRoute::SetAssetStatus(7), "PATCH /assets?id=7", "assets:write", "writes"),
        row(FsmRoute::AddServiceRecord(7), "POST /assets?id=7&sub=service", "assets:service", "writes"),
        row(FsmRoute::AddMeterReading(7), "POST /assets?id=7&sub=meter_reading", "assets:meter", "writes"),
        row(FsmRoute::TransferAsset(7), "POST /assets?id=7&sub=transfer", "assets:transfer", "writes"),
        row(FsmRoute::Inventory, "GET /inventory", "inventory:read", "lists"),
        row(FsmRoute::InventoryLocations, "GET /inventory?sub=locations", "inventory:read", "lists"),
        row(FsmRoute::LowStock, "GET /inventory?sub=low-stock", "inventory:read", "lists"),
        row(FsmRoute::InventoryItem(7), "GET /inventory?id=7", "inventory:read", "records"),
        row(FsmRoute::InventoryStock(7), "GET /inventory?id=7&sub=stock", "inventory:read", "unknown"),
        row(transactions, "GET /inventory?id=7&sub=transactions", "inventory:read", "unknown"),
        row(FsmRoute::InventoryLocation(7), location, "inventory:read", "unknown"),
        row(FsmRoute::CreateInventoryItem, "POST /inventory", "inventory:write", "writes"),
        row(FsmRoute::UpdateInventoryItem(7), "PUT /inventory?id=7", "inventory:write", "writes"),
        row(FsmRoute::PatchInventoryItem(7), "PATCH /inventory?id=7", "inventory:write", "writes"),
        row(FsmRoute::AdjustStock(7), "POST /inventory?id=7&sub=adjust", "inventory:write", "writes"),
        row(FsmRoute::TransferStock, "POST /inventory?sub=transfer", "inventory:transfer", "writes"),
        row(FsmRoute::Technicians, "GET /technicians", "technicians:read", "lists"),
        row(FsmRoute::Technician(7), "GET /technicians?id=7", "technicians:read", "records"),
    ]
}

fn abaco_routes() -> Vec<Row<Abaco>> {
    let routes = [
        (AbacoRoute::BusinessPartners, "GET /business-partners"),
        (AbacoRoute::Documents, "GET /documents"),
        (AbacoRoute::Document(7), "GET /documents/7"),
        (AbacoRoute::CreateDocument, "POST /documents"),
        (AbacoRoute::UpdateDocument(7), "PUT /documents/7"),
        (AbacoRoute::ConfirmDocument(7), "POST /documents/7/confirm"),
        (AbacoRoute::UnconfirmDocument(7), "POST /documents/7/unconfirm"),
        (AbacoRoute::CancelDocument(7), "POST /documents/7/cancel"),
        (AbacoRoute::PrintDocument(7), "POST /documents/7/print"),
        (AbacoRoute::SendDocument, "POST /send-document"),
        (AbacoRoute::Products, "GET /products"),
        (AbacoRoute::Product(7), "GET /products/7"),
        (AbacoRoute::SearchProducts, "GET /products/search"),
        (AbacoRoute::CreateProduct, "POST /products"),
        (AbacoRoute::UpdateProduct(7), "PUT /products/7"),
        (AbacoRoute::JournalEntries, "GET /journal-entries"),
        (AbacoRoute::JournalEntry(7), "GET /journal-entries/7"),
        (AbacoRoute::CreateJournalEntry, "POST /journal-entries"),
        (AbacoRoute::PostJournalEntry(7), "POST /journal-entries/7/post"),
        (AbacoRoute::ReverseJournalEntry(7), "POST /journal-entries/7/reverse"),
        (AbacoRoute::PrintJournalEntry(7), "POST /journal-entries/7/print"),
        (AbacoRoute::Ledger, "GET /journal-entries/ledger"),
        (AbacoRoute::ChartOfAccounts, "GET /chart-of-accounts"),
        (AbacoRoute::CreateAccount, "POST /chart-of-accounts"),
        (AbacoRoute::UpdateAccount(7), "PUT /chart-of-accounts/7"),
        (AbacoRoute::ImportDefaultAccounts, "POST /chart-of-accounts/import-default"),
        (AbacoRoute::AccountingPeriods, "GET /accounting-periods"),
        (AbacoRoute::CreateAccountingPeriod, "POST /accounting-periods"),
        (AbacoRoute::CloseAccountingPeriod(7), "POST /accounting-periods/7/close"),
        (AbacoRoute::ReopenAccountingPeriod(7), "POST /accounting-periods/7/reopen"),
        (AbacoRoute::AccountDeterminationRules, "GET /account-determination-rules"),
    ];
    routes.into_iter().map(|(route, request)| (route, request, None, None)).collect()
}

/// A transport that keeps the requests and responds with an empty object.
#[derive(Default)]
struct Kept(Mutex<Vec<(Method, Url)>>);

impl Transport for &'static Kept {
    fn send(&self, request: HttpRequest) -> SendFuture<'_> {
        self.0.lock().unwrap().push((request.method, request.url));
        Box::pin(async { Ok(Response::new("{}".into())) })
    }
}

/// Returns a client, and the requests that it has sent.
fn client<S: Service>() -> (Client<S>, &'static Kept) {
    let kept: &'static Kept = Box::leak(Box::default());
    let client = MockService::<S>::new().builder().transport(kept).build().unwrap();
    (client, kept)
}

async fn check<S: Service>(routes: Vec<Row<S>>) {
    let (client, kept) = client::<S>();
    let mut rows = Vec::new();
    for (route, request, scope, lane) in routes {
        let info = route.info();
        client.call(route).send().await.unwrap();
        let (method, url) = kept.0.lock().unwrap().pop().expect("a request was sent");
        let below = url.as_str().strip_prefix(S::BASE_URL).unwrap();
        assert_eq!(format!("{method} {below}"), request);
        assert_eq!(info.scope.map(|scope| scope.name), scope, "{request}");
        assert_eq!(info.lane.map(Lane::name), lane, "{request}");
        if let Some(lane) = info.lane {
            assert_eq!(S::lane(&method, &url), lane, "{request}: `Service::lane` agrees with the table");
        }
        assert!(info.source.is_some_and(|source| source.starts_with("https://")), "{request}");
        rows.push(info);
    }
    assert_eq!(rows, S::ROUTES, "this test has every row of the table, in order");
}

#[tokio::test]
async fn every_documented_route_is_sent_with_its_ids_where_the_service_expects_them() {
    check(fsm_navigator_routes()).await;
    check(abaco_routes()).await;
    assert!(Stayforge::ROUTES.is_empty(), "no route of Stayforge is documented");
}

#[tokio::test]
async fn an_id_can_be_a_number_or_a_text_and_cannot_change_the_route() {
    let (client, kept) = client::<FsmNavigator>();
    client.call(FsmRoute::Job("7&sub=transfer#x/..?+ é")).send().await.unwrap();
    client.call(FsmRoute::Job(7_u64)).query(&[("page", 2)]).send().await.unwrap();
    client.call(FsmRoute::Job(String::from("..")).clone()).send().await.unwrap();
    let sent: Vec<_> = kept.0.lock().unwrap().iter().map(|(_, url)| url.clone()).collect();
    assert!(sent.iter().all(|url| url.path() == "/api/v1/jobs"));
    let pairs: Vec<_> = sent[0].query_pairs().into_owned().collect();
    assert_eq!(pairs, [("id".to_owned(), "7&sub=transfer#x/..?+ é".to_owned())]);
    assert_eq!(sent[1].query(), Some("id=7&page=2"));

    let (client, kept) = self::client::<Abaco>();
    client.call(AbacoRoute::ConfirmDocument("a/b?c#d%2e")).send().await.unwrap();
    let (_, url) = kept.0.lock().unwrap().pop().unwrap();
    assert_eq!(url.as_str(), "https://api.abaco.hn/documents/a%2Fb%3Fc%23d%252e/confirm");
}

#[tokio::test]
async fn an_id_that_cannot_be_sent_is_rejected_before_anything_is_sent() {
    async fn rejected(request: Request, kind: BuildErrorKind) {
        let error = request.send().await.unwrap_err();
        assert!(matches!(&error, ApiError::Build(error) if error.kind() == kind), "{error}");
    }
    let (fsm, kept) = client::<FsmNavigator>();
    for id in ["", "a\nb", "\0"] {
        rejected(fsm.call(FsmRoute::Job(id)), BuildErrorKind::Query).await;
        rejected(fsm.call(FsmRoute::UpdateCustomerLocation(7, id)), BuildErrorKind::Query).await;
    }
    let (abaco, kept_too) = client::<Abaco>();
    for id in ["", ".", "..", "a\nb"] {
        rejected(abaco.call(AbacoRoute::ConfirmDocument(id)), BuildErrorKind::Path).await;
    }
    assert!(kept.0.lock().unwrap().is_empty() && kept_too.0.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_id_that_cannot_be_sent_is_neither_shown_from_the_query_nor_at_full_length() {
    let long = format!("{}\u{1}", "mail@example.com".repeat(1_000));
    let client = MockService::<FsmNavigator>::new().client();
    let in_query = client.call(fsm_navigator::Route::Job(&long)).send().await.unwrap_err();
    assert!(in_query.to_string().contains("the ID in id is empty or has a control character"), "{in_query}");
    assert!(!format!("{in_query} {in_query:?}").contains("mail@example.com"), "{in_query:?}");
    let in_path = client.get("/customers").segment(&long).send().await.unwrap_err();
    assert!(format!("{in_path} {in_path:?}").len() < 2_000, "{in_path:?}");
}

#[tokio::test(start_paused = true)]
async fn an_error_about_a_missing_scope_names_the_scope_of_the_route() {
    let service = MockService::<FsmNavigator>::new();
    let routes = fsm_navigator_routes();
    for (route, request, scope, _) in &routes {
        let scope = scope.unwrap();
        let path = request.split(' ').nth(1).unwrap();
        let by_path = service.client().request(route.info().method.clone(), path);
        for (sent, code) in [
            (service.client().call(route.clone()), Code::ScopeNotAuthorized),
            (service.client().call(route.clone()).query(&[("page", 2)]), Code::Forbidden),
            (by_path, Code::ScopeNotAuthorized),
        ] {
            service.any().fail(code);
            let error = sent.send().await.unwrap_err();
            assert_eq!(error.scope(), Some(scope), "{request}");
            assert!(error.help().unwrap().contains(&format!("`{scope}`")), "{request}: {:?}", error.help());
            assert!(error.to_string().contains(&format!("needs the scope {scope}")), "{error}");
        }
    }
    assert_eq!(service.request_count(), routes.len() * 3);
}

#[tokio::test(start_paused = true)]
async fn no_scope_is_named_where_none_is_documented_or_the_error_is_another() {
    let service = MockService::<FsmNavigator>::new();
    let client = service.client();
    let undocumented = [
        client.get("/invoices"),
        client.put("/jobs"),
        client.get("/jobs/7"),
        client.post("/inventory?sub=audit"),
        client.post("/assets?sub=transfer"),
        client.get("/customers?id="),
        client.delete("/jobs?id=7"),
    ];
    let count = undocumented.len();
    for request in undocumented {
        service.any().fail(Code::ScopeNotAuthorized);
        let error = request.send().await.unwrap_err();
        assert_eq!(error.scope(), None, "{error}");
        assert_eq!(error.help(), Some(Code::ScopeNotAuthorized.info().fix));
        assert!(!error.to_string().contains("needs the scope"), "{error}");
    }
    for code in [Code::IpNotAllowed, Code::NotFound, Code::Unauthorized] {
        service.any().fail(code);
        let error = client.call(FsmRoute::UpdateJob(7)).send().await.unwrap_err();
        assert_eq!((error.scope(), error.help()), (None, Some(code.info().fix)));
    }
    assert_eq!(service.request_count(), count + 3);
}

#[tokio::test(start_paused = true)]
async fn a_filter_does_not_hide_the_scope_and_the_base_url_does_not_matter() {
    let service = MockService::<FsmNavigator>::new();
    service.any().fail(Code::ScopeNotAuthorized).times(2);
    let client = service.builder().base_url("https://proxy.example/fsm/jobs/").build().unwrap();
    // `location_id` is a filter of assets, and part of a route of customers.
    for request in
        [client.call(FsmRoute::Assets).query(&[("location_id", 3)]), client.get("/assets?status=Idle&page=2")]
    {
        assert_eq!(request.send().await.unwrap_err().scope(), Some("assets:read"));
    }
}

#[tokio::test(start_paused = true)]
async fn every_list_with_a_documented_member_is_read_by_pages() {
    async fn items<S: Service>(route: Route<S>) -> Vec<u32> {
        let member = route.info().list.expect("a list");
        let service = MockService::<S>::new();
        let mut page = json!({"others": [7], "total": 2, "pagination": {"total": 2}});
        page[member] = json!([1, 2]);
        service.any().json(&page);
        let mut items = service.client().call(route).pages::<u32>().items();
        let mut found = Vec::new();
        while let Some(item) = items.next().await {
            found.push(item.unwrap());
        }
        found
    }
    let mut count = 0;
    for (route, ..) in fsm_navigator_routes().into_iter().filter(|(route, ..)| route.info().list.is_some()) {
        assert_eq!(route.info().list, Some("data"));
        assert_eq!(items(route).await, [1, 2]);
        count += 1;
    }
    assert_eq!(count, 7);
    assert_eq!(AbacoRoute::Documents.info().list, Some("documents"));
    assert_eq!(items(AbacoRoute::Documents).await, [1, 2]);
}

#[test]
fn values_are_sent_as_the_documentation_writes_them() {
    let statuses = JobStatus::ALL.iter().map(|status| status.as_str());
    assert_eq!(
        statuses.collect::<Vec<_>>().join(", "),
        "Pending, Assigned, In-Transit, Arrived, In Progress, On Hold, Completed, Cancelled, Declined"
    );
    let statuses = AssetStatus::ALL.iter().map(ToString::to_string);
    assert_eq!(
        statuses.collect::<Vec<_>>().join(", "),
        "Active, Idle, In Maintenance, Pending Install, In Transit, Lost, Non-Compliant, Decommissioned, Retired"
    );
    assert_eq!(json!(JobPriority::ALL), json!(["Low", "Medium", "High", "Urgent"]));
    assert_eq!(json!(EntryStatus::ALL), json!(["posted", "draft", "reversed"]));
    assert_eq!(json!(EntryType::ALL), json!(["automatic", "manual", "reversal"]));
    assert_eq!(json!({"status": JobStatus::InTransit}).to_string(), r#"{"status":"In-Transit"}"#);
}

#[tokio::test]
async fn a_value_or_any_other_text_can_be_a_filter() {
    let (client, kept) = client::<Abaco>();
    let entries = || client.call(AbacoRoute::JournalEntries);
    entries()
        .query(&[("status", EntryStatus::Posted)])
        .query(&[("entryType", EntryType::Manual)])
        .send()
        .await
        .unwrap();
    entries().query(&[("status", "archived")]).send().await.unwrap();
    let queries = kept.0.lock().unwrap().iter().map(|(_, url)| url.query().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(queries, ["status=posted&entryType=manual", "status=archived"]);
}

#[test]
fn a_route_shows_its_template_and_not_its_ids() {
    assert_eq!(format!("{:?}", fsm_navigator::Route::Job("secret")), "Route(GET /jobs?id={id})");
    assert_eq!(format!("{:?}", abaco::Route::Documents), "Route(GET /documents)");
}

/// A service of one's own, with a table of routes and a code about scopes.
mod depot {
    use http::{HeaderMap, Method, StatusCode};
    use steadfast::{Bearer, ErrorBody, RouteInfo, Scope, Service};

    steadfast::error_codes! {
        /// The codes of a depot.
        pub enum Code of "depot" {
            /// The key lacks a scope.
            /// Add the scope to the key.
            Scope = "scope" 403 Forbidden Never None
        }
    }

    const WRITE: Scope = Scope::new("parcels:write", "Ask the depot for the scope `parcels:write`.");

    const BULK: Scope = Scope::new("parcels:bulk", "Ask the depot for the scope `parcels:bulk`.");

    #[derive(Debug)]
    pub(super) struct Depot;

    impl Service for Depot {
        type Code = Code;
        type Key = Bearer<Self>;
        const BASE_URL: &'static str = "https://depot.example/v2";
        const ENV: &'static str = "DEPOT";
        const ROUTES: &'static [&'static RouteInfo] = &[
            &RouteInfo::new(Method::GET, "/parcels/{id}"),
            &RouteInfo::new(Method::PUT, "/parcels/{id}").with_scope(WRITE),
            &RouteInfo::new(Method::PUT, "/parcels/all").with_scope(BULK),
        ];
        const SCOPE_CODES: &'static [Code] = &[Code::Scope];

        fn read_error(_: StatusCode, _: &HeaderMap, body: &[u8]) -> Option<ErrorBody> {
            ErrorBody::from_json(body, "code")
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_service_can_name_the_scopes_of_its_routes() {
    let service = MockService::<depot::Depot>::new();
    service.any().fail(depot::Code::Scope).times(4);
    let client = service.client();
    let error = client.put("/parcels").segment(7).send().await.unwrap_err();
    assert_eq!(error.scope(), Some("parcels:write"));
    assert_eq!(error.help(), Some("Ask the depot for the scope `parcels:write`."));
    let error = client.put("/parcels/all").send().await.unwrap_err();
    assert_eq!(error.scope(), Some("parcels:bulk"));
    for request in [client.get("/parcels/7"), client.put("/parcels/7/label")] {
        let error = request.send().await.unwrap_err();
        assert_eq!((error.scope(), error.help()), (None, Some("Add the scope to the key.")));
    }
}
