//! `tabane token …`.

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use tabane_model::{Token, TokenSpec};

use super::objects;
use crate::{
    arguments::{Form, TokenCommand},
    context::Context,
    output,
};

pub async fn run(context: &Context, command: TokenCommand) -> Result<()> {
    match command {
        TokenCommand::Create { name, role, description, expires_in } => {
            let expires_at = expires_in.map(|hours| Timestamp::now() + SignedDuration::from_hours(hours));
            let spec = TokenSpec { role, description, expires_at, host: None };
            let made = context.client().await?.create_token(name.as_str(), &spec).await?;
            match context.form()? {
                // The secret alone on standard output, so that it can be piped to where it belongs.
                Form::Table => {
                    println!("{}", made.secret);
                    eprintln!("shown this once; only its hash is kept");
                    Ok(())
                }
                form => output::value(form, &made),
            }
        }
        TokenCommand::List(list) => objects::list::<Token>(context, &list).await,
        TokenCommand::Delete(named) => objects::delete::<Token>(context, &named).await,
    }
}
