//! What is proved to be the cheapest, beside what a solver of mixed integer programs finds (microlp: simplex, branch and
//! bound), for problems that are too large to try everything.

use microlp::{ComparisonOp, LinearExpr, OptimizationDirection, Problem as Program, SolveOutcome, Variable};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use crate::pack::{DemandBuilder, Kind, Problem, Toll, check_packing, construct, exhaust, total};

const SETS: usize = 20;
const BINS: usize = 3;

/// Licences as those of an operating system are: for each begun pair of VMs, or for the host. And one for the host alone.
struct Licences {
    classes: Vec<Vec<usize>>,
    pair: f64,
    whole: f64,
    other: f64,
}

impl Toll for Licences {
    fn classes(&self) -> &[Vec<usize>] {
        &self.classes
    }

    fn of_class(&self, class: usize, kind: usize, servers: &[u32]) -> f64 {
        let here = servers.iter().filter(|s| self.classes[class].contains(&(**s as usize))).count();
        self.least_of(class, kind, here)
    }

    fn least_of(&self, class: usize, _: usize, here: usize) -> f64 {
        match class {
            0 => self.whole.min(self.pair * here.div_ceil(2) as f64),
            _ if here > 0 => self.other,
            _ => 0.0,
        }
    }
}

fn random(random: &mut SmallRng, servers: usize) -> (Problem, Licences, Vec<Vec<u32>>) {
    let needs: Vec<Vec<u32>> =
        (0..servers).map(|_| (0..BINS).map(|_| random.random_range(5..45)).collect()).collect();
    let mut builder = DemandBuilder::new(&[BINS], servers);
    needs.iter().for_each(|needs| builder.push(&[needs]));
    let small = f64::from(random.random_range(40..60u32));
    let kinds = vec![
        Kind { capacity: vec![100], price: small, count: None },
        Kind { capacity: vec![160], price: small * 1.5 + 1.0, count: Some(2) },
    ];
    let mut class = |share: f64| (0..servers).filter(|_| random.random_bool(share)).collect::<Vec<usize>>();
    let classes = vec![class(0.6), class(0.3)];
    let pair = f64::from(random.random_range(5..20u32));
    let licences = Licences {
        classes,
        pair,
        whole: pair * f64::from(random.random_range(2..4u32)),
        other: f64::from(random.random_range(10..80u32)),
    };
    (Problem::new(builder.finish(), kinds).unwrap(), licences, needs)
}

/// The least cost, with so many hosts of the first kind to choose from.
fn solved(problem: &Problem, licences: &Licences, needs: &[Vec<u32>], hosts: usize) -> f64 {
    let mut program = Program::new(OptimizationDirection::Minimize);
    let kinds: Vec<usize> = std::iter::repeat_n(0, hosts).chain([1, 1]).collect();
    let mut places: Vec<Vec<Variable>> = vec![Vec::new(); needs.len()];
    let mut before: Option<(usize, Variable)> = None;
    for kind in kinds {
        let offered = &problem.kinds()[kind];
        let is_used = program.add_binary_var(offered.price);
        let here: Vec<Variable> = needs.iter().map(|_| program.add_binary_var(0.0)).collect();
        for bin in 0..BINS {
            let mut load = LinearExpr::empty();
            here.iter().zip(needs).for_each(|(var, needs)| load.add(*var, f64::from(needs[bin])));
            load.add(is_used, -f64::from(offered.capacity[0]));
            program.add_constraint(load, ComparisonOp::Le, 0.0);
        }
        let whole = program.add_binary_var(licences.whole);
        let pairs = program.add_integer_var(licences.pair, (0, needs.len() as i32));
        let mut covered = LinearExpr::empty();
        licences.classes[0].iter().for_each(|server| covered.add(here[*server], 1.0));
        covered.add(pairs, -2.0);
        covered.add(whole, -(needs.len() as f64));
        program.add_constraint(covered, ComparisonOp::Le, 0.0);
        let other = program.add_binary_var(licences.other);
        for server in &licences.classes[1] {
            program.add_constraint([(here[*server], 1.0), (other, -1.0)], ComparisonOp::Le, 0.0);
        }
        // Of alike hosts the first are used.
        if let Some((_, first)) = before.filter(|(other, _)| *other == kind) {
            program.add_constraint([(first, 1.0), (is_used, -1.0)], ComparisonOp::Ge, 0.0);
        }
        before = Some((kind, is_used));
        places.iter_mut().zip(here).for_each(|(places, var)| places.push(var));
    }
    for places in places {
        let once: Vec<(Variable, f64)> = places.into_iter().map(|var| (var, 1.0)).collect();
        program.add_constraint(once, ComparisonOp::Eq, 1.0);
    }
    let SolveOutcome::Solution(solution) = program.solve().unwrap() else { panic!("nothing stopped it") };
    solution.objective()
}

#[test]
fn what_is_proved_is_what_a_solver_finds() {
    let mut source = SmallRng::seed_from_u64(11);
    for at in 0..SETS {
        let (problem, licences, needs) = random(&mut source, 8 + at % 5);
        let first = construct(&problem);
        let hosts = (first.hosts.len() + 2).min(needs.len());
        let proved = exhaust(&problem, first, &licences, &|_| false);
        assert!(proved.is_proved && check_packing(&problem, &proved.packing).is_empty());
        let is = total(&problem, &proved.packing, &licences);
        let least = solved(&problem, &licences, &needs, hosts);
        // Prices are halves; the solver takes nearly whole numbers for whole ones.
        assert!((is - least).abs() < 0.01, "set {at}: {is}, the solver {least}");
        assert!((proved.least - is).abs() < 1e-9, "set {at}: {is}, said {}", proved.least);
    }
}
