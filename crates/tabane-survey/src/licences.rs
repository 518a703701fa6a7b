//! What servers seem to need licences of, by their columns `os` and `application`: `[[licence]]` entries of a policy, as a piece
//! for people to look at. Nothing is licensed by it: that somebody has a product does not say which edition, by which contract,
//! or whether its licences are his.
//!
//! Where a name says which product of the catalogues it is, the entry is written; where it may be one of several, or none, it
//! is written as a comment.

use std::fmt::Write as _;

use tabane_model::{ServerPattern, Source};

use crate::text::toml_string;

/// What a recognised name may come to.
struct Rule {
    /// Of `servers.csv`; servers that one of them matches.
    patterns: &'static [&'static str],
    /// Servers that are something else though a pattern matches.
    except: &'static [&'static str],
    /// Products of the catalogues in `data/licences`.
    products: &'static [&'static str],
    /// What has to be looked up by hand.
    check: &'static str,
    standing: Standing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Such a server needs this product, or has it from elsewhere.
    Needs,
    /// One of the products, or none.
    May,
}

const RULES: [Rule; 8] = [
    Rule {
        patterns: &["os=*windows server*", "os=windows 20*", "os=microsoft windows 20*"],
        except: &["os=*windows 2000 prof*"],
        products: &["windows-server"],
        check: "which editions you have or would buy, and whether licences came with hardware and may move (OEM); CALs are not counted",
        standing: Standing::Needs,
    },
    Rule {
        patterns: &["os=*windows server*2008*", "os=*windows server*2012*", "os=*windows server*2016*"],
        except: &[],
        products: &["windows-server-esu"],
        check: "whether the version is past its support, and whether you want security updates for it rather than another version",
        standing: Standing::May,
    },
    Rule {
        patterns: &["os=*red hat enterprise*", "os=rhel*"],
        except: &[],
        products: &["rhel"],
        check: "which subscriptions there are: for pairs of VMs or for hosts, and of which service level; give their prices (--prices), since no catalogue has them",
        standing: Standing::Needs,
    },
    Rule {
        patterns: &["application=*sql server*", "application=*mssql*", "application=*ms sql*"],
        except: &[
            "application=*sql server express*",
            "application=*sql server developer*",
            "application=*localdb*",
        ],
        products: &["sql-server-standard", "sql-server-enterprise"],
        check: "the edition (SELECT SERVERPROPERTY('Edition')): Express and Developer need none; and cores or server and CALs",
        standing: Standing::May,
    },
    Rule {
        patterns: &[
            "application=*oracle database*",
            "application=*oracle db*",
            "application=oracle 1*",
            "application=oracle 2*",
        ],
        except: &["application=*oracle database xe*", "application=*oracle*express*"],
        products: &["database-ee", "database-se2"],
        check: "the edition (SELECT banner FROM v$version), options and packs in use, and what your contract says of virtual machines",
        standing: Standing::May,
    },
    Rule {
        patterns: &["application=*db2*", "application=*ibm mq*", "application=*websphere*"],
        except: &[],
        products: &["by-pvu", "by-vpc"],
        check: "by which metric your entitlement counts, and whether sub-capacity is reported as IBM asks for",
        standing: Standing::May,
    },
    Rule {
        patterns: &["application=*sap*"],
        except: &[],
        products: &[],
        check: "SAP and its database are licensed by contract, and no catalogue here counts them",
        standing: Standing::May,
    },
    Rule {
        patterns: &["os=*suse linux enterprise*", "os=sles*", "os=*oracle linux*", "os=*ubuntu*"],
        except: &[],
        products: &[],
        check: "whether you pay for subscriptions or support; no catalogue here counts them",
        standing: Standing::May,
    },
];

/// Servers that are shown in a comment; the rest is counted.
const SHOWN: usize = 8;

/// What is proposed for these servers; text of a policy.
pub fn proposed(servers: &[Source]) -> String {
    let mut text = String::from(
        "# Proposed from what servers seem to run (columns os and application). Nothing of it is sure: go through each entry, check\n\
         # what it asks for, and take out what does not hold. Products are those of the catalogues (--licences data/licences).\n\
         # Of editions those with a price are a choice; where they are paid in different ways, name yours: editions = [\"…\"].\n",
    );
    let mut told = 0;
    for rule in &RULES {
        let meant: Vec<(&str, Vec<&str>)> = servers
            .iter()
            .map(|server| (server.name.as_str(), rule.texts(server)))
            .filter(|(_, texts)| !texts.is_empty())
            .collect();
        if !meant.is_empty() {
            told += 1;
            rule.write(&meant, servers.len(), &mut text);
        }
    }
    if told == 0 {
        text.push_str("# No server says that it runs something of which a licence is known.\n");
    }
    text
}

impl Rule {
    /// What of a server it is about; a column may name several things, with `;` between.
    fn texts<'a>(&self, server: &'a Source) -> Vec<&'a str> {
        let is_one = |patterns: &[&str], key: &str, part: &str| {
            let labels = vec![(key.to_owned(), part.to_owned())];
            let alone = Source { name: String::new(), cores: 0, cpu_cap_mhz: 0, mem_cap_mib: 0, labels };
            patterns.iter().any(|pattern| ServerPattern((*pattern).to_owned()).matches(&alone))
        };
        let parts = server
            .labels
            .iter()
            .flat_map(|(key, value)| value.split(';').map(move |part| (key, part.trim())));
        let meant =
            parts.filter(|(key, part)| is_one(self.patterns, key, part) && !is_one(self.except, key, part));
        meant.map(|(_, part)| part).collect()
    }

    fn write(&self, meant: &[(&str, Vec<&str>)], all: usize, text: &mut String) {
        let mut line = |line: &str| {
            let _ = writeln!(text, "{line}");
        };
        line("");
        let mut said: Vec<&str> = meant.iter().flat_map(|(_, texts)| texts.iter().copied()).collect();
        said.sort_unstable();
        said.dedup();
        said.truncate(SHOWN);
        // What somebody says never ends a comment.
        let said: String = said.join(" | ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        line(&format!("# {} of {all} say: {said}.", meant.len()));
        line(&format!("# Check {}.", self.check));
        let named: Vec<String> = meant.iter().map(|(name, _)| toml_string(name)).collect();
        let (comment, several) =
            (if self.standing == Standing::May { "# " } else { "" }, self.products.len() > 1);
        if several {
            line("# One of these, without the marks in front:");
        }
        for product in self.products {
            line(&format!("{comment}[[licence]]"));
            line(&format!("{comment}product = \"{product}\""));
            line(&format!("{comment}servers = [{}]", named.join(", ")));
        }
        if self.products.is_empty() {
            let more = meant.len().saturating_sub(SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            line(&format!("# {}{more}", named[..named.len().min(SHOWN)].join(", ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str, os: &str, application: &str) -> Source {
        let labels = vec![("os".into(), os.into()), ("Application".into(), application.into())];
        Source { name: name.into(), cores: 1, cpu_cap_mhz: 1, mem_cap_mib: 1, labels }
    }

    fn has(text: &str, line: &str) -> bool {
        text.lines().any(|is| is == line)
    }

    #[test]
    fn what_is_plain_is_proposed_and_what_is_not_is_a_comment() {
        let text = proposed(&[
            server("w1", "Microsoft Windows Server 2022 Standard", "Microsoft SQL Server"),
            server("w2", "Windows Server 2012 R2", ""),
            server("pc", "Windows 11 Pro", ""),
            server("r\"1", "Red Hat Enterprise Linux 9.4 (Plow)", "Oracle Database"),
            server("x1", "Debian GNU/Linux 12", "nginx; Oracle Database XE"),
            server("o2", "Debian GNU/Linux 12", "Oracle Database XE; Oracle Database 19c"),
        ]);
        assert!(has(&text, "product = \"windows-server\""));
        assert!(has(&text, "servers = [\"w1\", \"w2\"]"), "{text}");
        assert!(
            has(&text, "# 2 of 6 say: Microsoft Windows Server 2022 Standard | Windows Server 2012 R2."),
            "{text}"
        );
        assert!(has(&text, "product = \"rhel\"") && has(&text, "servers = [\"r\\\"1\"]"));
        // Which edition it is nobody knows, so nobody pays for one without having looked.
        for product in [
            "sql-server-standard",
            "sql-server-enterprise",
            "database-ee",
            "database-se2",
            "windows-server-esu",
        ] {
            assert!(has(&text, &format!("# product = \"{product}\"")), "{product}\n{text}");
            assert!(!has(&text, &format!("product = \"{product}\"")));
        }
        assert!(has(&text, "# servers = [\"r\\\"1\", \"o2\"]"), "{text}");
        // Of Express Edition and clients nothing is asked.
        let names = text.lines().filter(|line| line.contains("x1") || line.contains("pc")).count();
        assert_eq!(names, 0, "{text}");
        assert!(proposed(&[server("a", "Debian GNU/Linux 12", "")]).contains("No server says"));
    }

    #[test]
    fn what_servers_say_never_ends_a_comment() {
        let text =
            proposed(&[server("w1\nexclude = [\"*\"]", "Windows Server 2022\nobjective = \"cost\"", "")]);
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count();
        assert_eq!(lines, 3, "{text}");
    }
}
