//! What others do: each server has a size, a percentile of its load, as in commercial tools, and sizes are packed first fit,
//! the largest first; or loads are, at each moment.

use crate::Result;

/// A percentile of the values, `share` from 0 to 1.
pub fn percentile(values: &[u32], share: f64) -> u32 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

/// The servers of each host, by sizes.
pub fn first_fit(sizes: &[[u32; 4]], capacity: &[u32; 4]) -> Result<Vec<Vec<usize>>> {
    let rows: Vec<[Vec<u32>; 4]> = sizes.iter().map(|size| size.map(|need| vec![need])).collect();
    first_fit_in_time(&rows, capacity)
}

/// The servers of each host, by loads at each moment.
pub fn first_fit_in_time(rows: &[[Vec<u32>; 4]], capacity: &[u32; 4]) -> Result<Vec<Vec<usize>>> {
    let share = |row: &[Vec<u32>; 4]| {
        let most = row.iter().map(|values| values.iter().copied().max().unwrap_or(0));
        most.zip(capacity).map(|(need, has)| f64::from(need) / f64::from(*has)).fold(0.0, f64::max)
    };
    let mut order: Vec<(f64, usize)> = rows.iter().enumerate().map(|(at, row)| (share(row), at)).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut hosts: Vec<([Vec<u32>; 4], Vec<usize>)> = Vec::new();
    for (largest, server) in order {
        let row = &rows[server];
        if largest > 1.0 {
            return Err("a server is larger than a host".into());
        }
        let fits = |load: &[Vec<u32>; 4]| {
            (0..4).all(|r| load[r].iter().zip(&row[r]).all(|(load, need)| load + need <= capacity[r]))
        };
        match hosts.iter_mut().find(|(load, _)| fits(load)) {
            Some((load, servers)) => {
                for (load, needs) in load.iter_mut().zip(row) {
                    load.iter_mut().zip(needs).for_each(|(load, need)| *load += need);
                }
                servers.push(server);
            }
            None => hosts.push((row.clone(), vec![server])),
        }
    }
    Ok(hosts.into_iter().map(|(_, servers)| servers).collect())
}

pub fn hosts(rows: &[[Vec<u32>; 4]], share: f64, capacity: &[u32; 4]) -> Result<usize> {
    let sizes: Vec<[u32; 4]> = rows.iter().map(|row| row.each_ref().map(|r| percentile(r, share))).collect();
    Ok(first_fit(&sizes, capacity)?.len())
}
