//! Applications whose vendors ask for licences or have rules of support, by packages, services and ports of a source. Names are
//! those that support matrices and licence catalogues look for.
//!
//! What is not in it may be there all the same: most of what is installed by hand, and most of all Oracle Database, has no package.

use std::collections::BTreeSet;

struct Application {
    name: &'static str,
    /// How names of packages begin.
    packages: &'static [&'static str],
    /// How names of services that run begin.
    services: &'static [&'static str],
}

const APPLICATIONS: [Application; 12] = [
    Application {
        name: "Microsoft SQL Server",
        packages: &["mssql-server "],
        services: &["mssql-server.service"],
    },
    Application {
        name: "Oracle Database",
        packages: &["oracle-database-ee-", "oracle-database-se2-"],
        services: &["oracle-ohasd.service", "dbora.service", "oracledb_"],
    },
    Application { name: "Oracle Database XE", packages: &["oracle-database-xe-"], services: &["oracle-xe-"] },
    Application { name: "IBM Db2", packages: &[], services: &["db2fmcd.service", "db2c_"] },
    Application { name: "IBM MQ", packages: &["MQSeriesServer", "ibmmq-server"], services: &[] },
    Application {
        name: "SAP",
        packages: &["saphostagent"],
        services: &["sapinit.service", "saphostagent.service"],
    },
    Application { name: "CodeMeter", packages: &["codemeter"], services: &["codemeter.service"] },
    Application {
        name: "Sentinel HASP",
        packages: &["aksusbd"],
        services: &["aksusbd.service", "hasplmd.service"],
    },
    Application { name: "PostgreSQL", packages: &[], services: &["postgresql"] },
    Application { name: "MariaDB", packages: &[], services: &["mariadb.service"] },
    Application { name: "MySQL", packages: &[], services: &["mysql.service", "mysqld.service"] },
    Application { name: "MongoDB", packages: &[], services: &["mongod.service"] },
];

/// The port of Oracle's listener; what listens there by another name is not known.
const ORACLE_LISTENER: &str = ":1521";

/// Names of what was recognised, in one text. Lines are those of `dpkg-query` or `rpm`, `systemctl list-units` and `ss` or `netstat`.
pub(super) fn recognise(packages: &[&str], services: &[&str], listening: &[&str]) -> String {
    let mut found: BTreeSet<&str> = BTreeSet::new();
    for Application { name, packages: begin, services: run } in &APPLICATIONS {
        let installed = packages.iter().any(|line| begin.iter().any(|begin| line.starts_with(begin)));
        let running = services.iter().any(|line| run.iter().any(|run| line.trim_start().starts_with(run)));
        if installed || running {
            found.insert(name);
        }
    }
    let listens =
        listening.iter().any(|line| line.split_whitespace().any(|field| field.ends_with(ORACLE_LISTENER)));
    if listens && !found.iter().any(|name| name.starts_with("Oracle")) {
        found.insert("Oracle Database");
    }
    found.into_iter().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_are_recognised_by_packages_services_and_ports() {
        let packages = ["bash 5.2", "mssql-server 16.0.4125.3-1", "mssql-tools18 18.4"];
        let services = [
            "ssh.service loaded active running OpenBSD Secure Shell server",
            "postgresql@15-main.service loaded active running x",
        ];
        assert_eq!(recognise(&packages, &services, &[]), "Microsoft SQL Server; PostgreSQL");
        // Tools are no server.
        assert_eq!(
            recognise(&["mssql-tools18 18.4", "mysql-client 8"], &[], &["LISTEN 0 1 0.0.0.0:3306 0.0.0.0:*"]),
            ""
        );
        let listener = ["LISTEN 0 128 0.0.0.0:1521 0.0.0.0:*"];
        assert_eq!(recognise(&[], &[], &listener), "Oracle Database");
        // Express Edition is free, and has its listener there, too.
        assert_eq!(recognise(&["oracle-database-xe-21c 1.0-1"], &[], &listener), "Oracle Database XE");
        assert_eq!(recognise(&[], &[], &["LISTEN 0 128 0.0.0.0:11521 0.0.0.0:*"]), "");
    }
}
