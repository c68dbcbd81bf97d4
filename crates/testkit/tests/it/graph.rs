//! OneDrive, OneDrive for Business and SharePoint, against the simulated Microsoft Graph.

use std::sync::Arc;

use tramontane_connector::{Bases, Connector, Cx};
use tramontane_connectors::graph::Graph;
use tramontane_model::PageRequest;

use crate::sandboxed::{prove_sandboxed, sandbox};
use crate::services::prove_at_length;

#[tokio::test(flavor = "multi_thread")]
async fn onedrive_behaves() {
    let made = |bases: &Bases| Arc::new(Graph::onedrive(bases).unwrap()) as Arc<dyn Connector>;
    prove_sandboxed("onedrive", 61, made, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn onedrive_for_business_behaves() {
    let made = |bases: &Bases| Arc::new(Graph::onedrivebiz(bases).unwrap()) as Arc<dyn Connector>;
    prove_sandboxed("onedrivebiz", 62, made, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sharepoint_behaves_in_a_library() {
    let running = sandbox().await;
    let mut bases = Bases::default();
    bases.set("sharepoint", running.base("sharepoint").unwrap());
    let grant = running.sandbox.grant("sharepoint", "ana").unwrap();
    let connector = Arc::new(Graph::sharepoint(&bases).unwrap());
    let fields = [("access_token", grant.access_token.as_str())];
    let service = tramontane_testkit::prove::Service::connect(
        connector.clone(),
        63,
        &fields,
        tramontane_fill::Spool::new(tempfile::tempdir().unwrap().path()),
    )
    .await
    .unwrap();
    let cx = Cx::interactive(
        Arc::clone(&service.account),
        Arc::clone(&service.lent),
        std::time::Duration::from_secs(30),
    );
    let storage = connector.storage().unwrap();
    let root = storage.root(&service.account);
    let page = PageRequest::first(100);
    let sites = storage.list(&cx, &root, &page).await.unwrap().items;
    let names: Vec<&str> = sites.iter().map(|site| site.name.as_str()).collect();
    assert_eq!(names, ["Example", "Marketing"]);
    let libraries = storage.list(&cx, &sites[1].id, &page).await.unwrap().items;
    let names: Vec<&str> = libraries.iter().map(|library| library.name.as_str()).collect();
    assert_eq!(names, ["Documents", "Archive"]);
    let again = storage.get(&cx, &libraries[1].reference()).await.unwrap();
    assert_eq!((again.name.as_str(), &again.id), ("Archive", &libraries[1].id));
    assert_eq!(again.parent.unwrap().id, sites[1].id);
    prove_at_length(connector, 63, &fields, Some(libraries[0].id.as_str()), false).await;
}
