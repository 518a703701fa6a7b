//! Progress of long work, told on the terminal while somebody looks, and quietly elsewhere.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use tabane_client::{Call, Client};
use tabane_model::{
    Image, Resource, Vm,
    planning::{Plan, PlanProgress},
};

/// What is worth telling while somebody waits.
pub trait Watched: Resource {
    fn told(&self) -> String;
    fn fraction(&self) -> Option<f32> {
        None
    }
}

impl Watched for Vm {
    fn told(&self) -> String {
        if let Some(arrival) = self.status.arrival.as_ref().filter(|_| self.spec.moving.is_some()) {
            return match &arrival.progress {
                _ if !arrival.message.is_empty() => format!("moving: {}", arrival.message),
                Some(p) => format!("moving: {} ({})", p.step, p.detail),
                None => "moving".into(),
            };
        }
        let wish = self.status.conditions.iter().find(|c| !c.met && !c.message.is_empty());
        match wish {
            Some(condition) => format!("{}: {}", self.phase(), condition.message),
            None => self.phase().into(),
        }
    }
}

impl Watched for Image {
    fn told(&self) -> String {
        match &self.status.progress {
            Some(p) if p.detail.is_empty() => format!("{}: {}", self.phase(), p.step),
            Some(p) => format!("{}: {} ({})", self.phase(), p.step, p.detail),
            None => self.phase().into(),
        }
    }

    fn fraction(&self) -> Option<f32> {
        self.status.progress.as_ref().map(|p| p.fraction)
    }
}

impl Watched for tabane_model::Disk {
    fn told(&self) -> String {
        self.phase().into()
    }
}

impl Watched for Plan {
    fn told(&self) -> String {
        match &self.status.progress {
            Some(PlanProgress { turns, cost: Some(cost), seconds }) => {
                format!("{}: {cost} after {turns} attempts at less ({seconds} s)", self.phase())
            }
            Some(PlanProgress { seconds, .. }) => format!("{}: a first plan ({seconds} s)", self.phase()),
            None if self.status.message.is_empty() => self.phase().into(),
            None => format!("{}: {}", self.phase(), self.status.message),
        }
    }
}

/// A bar, or a line for each step where nobody sees bars.
pub fn bar(prefix: &str) -> ProgressBar {
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(1000) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{spinner} {prefix}  {wide_msg}  {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.set_prefix(prefix.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// Shows how an object comes along until `done` is.
pub async fn follow<R: Watched, T>(client: &Client, name: &str, done: impl Future<Output = T>) -> T {
    let bar = bar(&format!("{} {name}", R::KIND));
    let plain = bar.is_hidden();
    let look = async {
        let mut last = String::new();
        loop {
            if let Ok(object) = client.get::<R>(name, &Call::default()).await {
                let told = match object.fraction() {
                    Some(fraction) => format!("{:>3.0} %  {}", fraction * 100.0, object.told()),
                    None => object.told(),
                };
                let step = object.told();
                // Without a terminal only what is new is worth a line.
                let head = step.split('(').next().unwrap_or_default().to_owned();
                if plain && head != last {
                    eprintln!("{} {name}: {}", R::KIND, step);
                }
                last = head;
                bar.set_message(told);
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    let result = tokio::select! {
        result = done => result,
        () = look => unreachable!("looking never ends"),
    };
    bar.finish_and_clear();
    result
}
