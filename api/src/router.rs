//! Every door, once.

use crate::{
    backups, calibrations, deduplications, encounters, enrolments, extractions, generations, grants, health,
    jobs, log, lookups,
    node::Node,
    notices,
    problem::{Kind, Problem},
    retention, subjects, telemetry, verifications, watchlists,
};
use axum::Router;
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

#[derive(OpenApi)]
#[openapi(
    info(title = "Limen", description = "Biometric identity matching: lookups on watchlists, with certificates and receipts."),
    modifiers(&Bearer)
)]
struct Description;

struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        openapi.components.get_or_insert_default().add_security_scheme("bearer", scheme);
        openapi.security = Some(vec![SecurityRequirement::new("bearer", Vec::<String>::new())]);
    }
}

fn routes() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(lookups::create::create_lookup))
        .routes(routes!(lookups::authorise::authorise_lookup))
        .routes(routes!(notices::list::list_notices))
        .routes(routes!(verifications::create::create_verification))
        .routes(routes!(extractions::create::create_extraction))
        .routes(routes!(subjects::create::create_subject, subjects::find::find_subject))
        .routes(routes!(subjects::read::read_subject, subjects::retire::retire_subject))
        .routes(routes!(subjects::restriction::restrict_subject, subjects::restriction::lift_restriction))
        .routes(routes!(subjects::rectify::rectify_entry))
        .routes(routes!(subjects::access::give_access))
        .routes(routes!(subjects::access::refuse_access))
        .routes(routes!(subjects::erase::erase_subject))
        .routes(routes!(subjects::reassign::merge_subject))
        .routes(routes!(subjects::reassign::move_encounters))
        .routes(routes!(encounters::create::create_encounter))
        .routes(routes!(enrolments::create::create_enrolments))
        .routes(routes!(deduplications::create::create_deduplication))
        .routes(routes!(retention::read::read_retention))
        .routes(routes!(retention::run::run_retention))
        .routes(routes!(watchlists::create::create_watchlist, watchlists::read::list_watchlists))
        .routes(routes!(watchlists::read::read_watchlist))
        .routes(routes!(watchlists::export::export_watchlist))
        .routes(routes!(generations::build::build_generation, generations::list::list_generations))
        .routes(routes!(generations::activate::activate_generation))
        .routes(routes!(calibrations::measure::measure_calibration, calibrations::list::list_calibrations))
        .routes(routes!(backups::create::create_backup))
        .routes(routes!(jobs::list::list_jobs))
        .routes(routes!(jobs::read::read_job, jobs::cancel::cancel_job))
        .routes(routes!(grants::create::propose_grant, grants::list::list_grants))
        .routes(routes!(grants::decide::revoke_grant))
        .routes(routes!(grants::decide::approve_grant))
        .routes(routes!(log::checkpoint::read_checkpoint))
        .routes(routes!(log::tile::read_tile))
        .routes(routes!(log::proof::prove))
        .routes(routes!(log::event::read_event))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(health::version))
}

/// The OpenAPI description of all of them.
pub(crate) fn openapi() -> utoipa::openapi::OpenApi {
    routes().into_openapi()
}

/// All of them, for a node.
pub(crate) fn router(node: Arc<Node>) -> Router {
    let (router, openapi) = routes().split_for_parts();
    let description = axum::Json(openapi);
    router
        .route("/openapi.json", axum::routing::get(move || std::future::ready(description.clone())))
        .method_not_allowed_fallback(async || Problem::new(Kind::Method, "see /openapi.json"))
        .fallback(async || Problem::new(Kind::Unknown, "there is no such resource: see /openapi.json"))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&node), telemetry::warn))
        .layer(axum::middleware::from_fn(telemetry::trace))
        .with_state(node)
}

#[cfg(test)]
mod tests {
    use gallery::operation::Operation;

    #[test]
    fn every_door_says_which_kind_of_processing_it_is() {
        let description = serde_json::to_value(super::openapi()).unwrap();
        for (path, doors) in description["paths"].as_object().unwrap() {
            for (method, door) in doors.as_object().unwrap() {
                let operation = door["x-operation"].as_str();
                assert!(operation.is_some_and(|word| word.parse::<Operation>().is_ok()), "{method} {path}");
            }
        }
    }

    #[test]
    fn the_published_description_is_that_of_the_doors() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
        let actual = serde_json::to_string_pretty(&super::openapi()).unwrap() + "\n";
        if std::env::var_os("LIMEN_UPDATE").is_some() {
            std::fs::write(path, &actual).unwrap();
        }
        let published = std::fs::read_to_string(path).unwrap_or_default();
        assert!(published == actual, "docs/openapi.json is old: LIMEN_UPDATE=1 cargo test --release -p api");
    }
}
