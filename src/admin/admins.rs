//! `/v1/admins`: the calls about administrators.
//!
//! Promises: each is the call about keys of the same name, in the realm of administrators; all of them need
//! `admins:write`.
//! Deliberately does not: decide who may change whom, or who must be left. The keyring does.

use axum::extract::State;
use axum::response::Response;

use super::Admin;
use super::call::Call;
use super::problem::Problem;
use crate::domain::Realm;

/// `GET /v1/admins`
pub async fn list(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    admin.list(Realm::Admin, call).await
}

/// `POST /v1/admins`
pub async fn create(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    admin.create(Realm::Admin, call).await
}

/// `GET /v1/admins/{admin}`
pub async fn show(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    admin.show(Realm::Admin, call).await
}

/// `PATCH /v1/admins/{admin}`
pub async fn edit(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    admin.edit(Realm::Admin, call).await
}

/// `DELETE /v1/admins/{admin}`
pub async fn delete(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    admin.delete(Realm::Admin, call).await
}

/// `POST /v1/admins/{admin}/renew`
pub async fn renew(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    admin.renew(Realm::Admin, call).await
}

/// `PATCH /v1/admins/{admin}/renewal`
pub async fn change_plan(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    admin.change_plan(Realm::Admin, call).await
}

/// `POST /v1/admins/{admin}/delete-old`
pub async fn delete_old(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    admin.delete_old(Realm::Admin, call).await
}

/// `POST /v1/admins/{admin}/undo`
pub async fn undo(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    admin.undo(Realm::Admin, call).await
}
