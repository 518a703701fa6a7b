//! On what vendors' support depends, in the languages of a report.
//!
//! The matrix has conditions as sentences. Those of the files that ship are known here; what a site has written itself is
//! shown as it is.

use crate::language::Language;

pub(crate) fn condition(language: Language, sentence: &str) -> &str {
    if language == Language::English {
        return sentence;
    }
    let found = JAPANESE.iter().find(|(english, _)| *english == sentence);
    found.map_or(sentence, |(_, japanese)| japanese)
}

const JAPANESE: [(&str, &str); 43] = [
    (
        "Exchange 2016 or 2019 is within Microsoft's lifecycle, which is known to have ended in October 2025",
        "Exchange 2016 または 2019 が Microsoft のライフサイクル期間内であること（2025 年 10 月に終了したことが分かっています）",
    ),
    (
        "IBM's present list of virtualization for Db2 was not found",
        "Db2 の仮想化に関する IBM の現在の一覧は見つかっていません",
    ),
    (
        "a software key is bound to the VM's MAC address, processor and UUID, which have to stay; of a dongle ask the software's vendor",
        "ソフトウェアキーは VM の MAC アドレス、プロセッサー、UUID に結び付くため、これらを変えないこと。ドングルはソフトウェアのベンダーに確認してください",
    ),
    (
        "as Red Hat's policy for this platform says, which was not read; active members are not moved live",
        "この基盤に対する Red Hat の方針（未確認）に従うこと。稼働中のメンバーはライブ移行しないこと",
    ),
    (
        "ask the board's vendor whether it may be handed through to a VM, or replace it by fax over IP",
        "VM に直接割り当ててよいかボードのベンダーに確認するか、IP による FAX に置き換えてください",
    ),
    (
        "ask the software's vendor whether the dongle may be used in a VM, over the network, or be replaced by a licence without one",
        "ドングルを VM でネットワーク越しに使えるか、ドングル不要のライセンスに替えられるか、ソフトウェアのベンダーに確認してください",
    ),
    ("ask whoever you have a contract with, if there is one", "契約があれば、契約先に確認してください"),
    (
        "defects of MQ are supported on guests that MQ supports; it was not tested in VMs unless IBM says so, and what comes from the hypervisor is its vendor's. Its disks have to keep what was written",
        "MQ の不具合は、MQ が対応するゲスト上でサポートされます。IBM が明言しない限り VM では試験されておらず、ハイパーバイザーに起因する問題はそのベンダーの担当です。ディスクは書き込まれた内容を確実に保持すること",
    ),
    (
        "from RAC 11.2.0.2 on service requests are accepted as for the database: not certified: Oracle helps with problems that are known on the native operating system or are shown not to come from the hypervisor, and may ask that they are reproduced on hardware",
        "RAC 11.2.0.2 以降はデータベースと同様に問い合わせを受け付けます。認定はありません。物理環境の OS で既知の問題、またはハイパーバイザーに起因しないと示された問題に対応し、物理ハードウェアでの再現を求められることがあります",
    ),
    (
        "look the version up in IBM's compatibility reports",
        "IBM の互換性レポートでバージョンを確認してください",
    ),
    ("no longer supported in production", "本番環境ではサポートが終了しています"),
    (
        "not certified: Oracle helps with problems that are known on the native operating system or are shown not to come from the hypervisor, and may ask that they are reproduced on hardware",
        "認定はありません。Oracle は、物理環境の OS で既知の問題、またはハイパーバイザーに起因しないと示された問題に対応し、物理ハードウェアでの再現を求めることがあります",
    ),
    (
        "not in production, whatever the hypervisor below",
        "下位のハイパーバイザーにかかわらず、本番環境は対象外です",
    ),
    (
        "on ESXi 6.5, 6.7, 7.0 or 8.0; the host is supported by its own vendor",
        "ESXi 6.5、6.7、7.0、8.0 の上であること。ホストはそのベンダーがサポートします",
    ),
    (
        "on Oracle Linux KVM 7 or 8; the host is supported by its own vendor",
        "Oracle Linux KVM 7 または 8 の上であること。ホストはそのベンダーがサポートします",
    ),
    (
        "on a host of 15 the guests 11 SP4 and 12 SP3 to SP5, within their life cycle",
        "ホストが 15 の場合、ゲストは 11 SP4 と 12 SP3〜SP5 で、ライフサイクル期間内であること",
    ),
    (
        "on the KVM of SLES for SAP Applications 15 SP4 or SP5, and on processors that are certified with it",
        "SLES for SAP Applications 15 SP4 または SP5 の KVM で、それと共に認定されたプロセッサーの上であること",
    ),
    (
        "on the kernels and releases of Oracle Linux that Oracle's list names",
        "Oracle の一覧にある Oracle Linux のカーネルとリリースの上であること",
    ),
    (
        "on vSphere or ESXi 5.x, 6.x or 7.x; active members are not moved live",
        "vSphere または ESXi 5.x、6.x、7.x の上であること。稼働中のメンバーはライブ移行しないこと",
    ),
    (
        "platforms that Red Hat's policies do not list are not supported, and QEMU/KVM as such is not known to be listed",
        "Red Hat の方針に載っていない基盤はサポートされません。QEMU/KVM 自体が載っているかは分かっていません",
    ),
    (
        "supported in production only on Hyper-V or a hypervisor that is validated through SVVP; QEMU/KVM as such is not",
        "本番環境では Hyper-V または SVVP で検証されたハイパーバイザーでのみサポートされます。QEMU/KVM 自体は対象外です",
    ),
    (
        "supported on Hyper-V and on SVVP-validated products if the application is on Microsoft's list, which was not read",
        "アプリケーションが Microsoft の一覧（未確認）にあれば、Hyper-V と SVVP で検証された製品でサポートされます",
    ),
    (
        "supported only on configurations that Oracle has validated",
        "Oracle が検証した構成でのみサポートされます",
    ),
    (
        "the combination of guest and hypervisor is on Oracle's hardware certification list; only those are supported in production",
        "ゲストとハイパーバイザーの組み合わせが Oracle のハードウェア認定一覧にあること。本番環境ではそれだけがサポートされます",
    ),
    (
        "the configuration is validated through SVVP, on hardware that is certified for Windows Server",
        "構成が SVVP で検証済みで、Windows Server 認定ハードウェアの上であること",
    ),
    (
        "the dongle is connected to one VM alone, or to a licence server in the network; the vendor of the software that it protects may say otherwise",
        "ドングルを一つの VM だけに、またはネットワーク上のライセンスサーバーに接続すること。保護されるソフトウェアのベンダーの条件は異なることがあります",
    ),
    ("the host is supported by its own vendor", "ホストはそのベンダーがサポートしていること"),
    (
        "the host's release is one that the list names for this guest",
        "ホストのリリースが、このゲストについて一覧に載っていること",
    ),
    (
        "the host's release is validated for this guest in the Server Virtualization Validation Program (SVVP), and the release of Windows is within Microsoft's lifecycle",
        "ホストのリリースがこのゲストについて SVVP（Server Virtualization Validation Program）で検証済みで、Windows のリリースが Microsoft のライフサイクル期間内であること",
    ),
    (
        "the host's release is validated through SVVP; Exchange 2016 or 2019 is within Microsoft's lifecycle, which is known to have ended in October 2025",
        "ホストのリリースが SVVP で検証済みで、Exchange 2016 または 2019 が Microsoft のライフサイクル期間内であること（2025 年 10 月に終了したことが分かっています）",
    ),
    (
        "the hypervisor is listed in SAP Note 1122387, with a server that the hardware's vendor has tested for it",
        "ハイパーバイザーが SAP Note 1122387 に載っていて、ハードウェアベンダーがそれを試験したサーバーであること",
    ),
    (
        "the release is listed in SAP Note 1122387, with a server that the hardware's vendor has tested for it",
        "リリースが SAP Note 1122387 に載っていて、ハードウェアベンダーがそれを試験したサーバーであること",
    ),
    (
        "the release is on Microsoft's list for the host's release",
        "リリースが、ホストのリリースについての Microsoft の一覧にあること",
    ),
    (
        "the release is on Microsoft's list for the host's release; that is the host's side only",
        "リリースが、ホストのリリースについての Microsoft の一覧にあること。これはホスト側だけの条件です",
    ),
    (
        "the release is on Red Hat's list of certified guest operating systems, and has a subscription of its own",
        "リリースが Red Hat の認定ゲスト OS の一覧にあり、独自のサブスクリプションがあること",
    ),
    (
        "the release of ESXi is on Red Hat's list of certified hypervisors",
        "ESXi のリリースが Red Hat の認定ハイパーバイザーの一覧にあること",
    ),
    ("the release of vSphere is certified for HANA", "vSphere のリリースが HANA 用に認定されていること"),
    (
        "the version is within Microsoft's lifecycle; snapshots without VSS are not supported",
        "バージョンが Microsoft のライフサイクル期間内であること。VSS を使わないスナップショットはサポートされません",
    ),
    (
        "the virtual infrastructure is properly managed and monitored, with what the VMs need reserved",
        "仮想基盤が適切に管理・監視され、VM に必要な資源が予約されていること",
    ),
    (
        "with a subscription of Ubuntu Pro that includes support; what is covered is the guest",
        "サポートを含む Ubuntu Pro のサブスクリプションがあること。対象はゲストです",
    ),
    ("within the product's life cycle", "製品のライフサイクル期間内であること"),
    (
        "without SVVP Microsoft investigates for customers with a Premier agreement, and may ask that the problem is reproduced on Hyper-V or on hardware",
        "SVVP がない場合、Microsoft は Premier 契約の顧客について調査し、Hyper-V または物理ハードウェアでの再現を求めることがあります",
    ),
    (
        "without SVVP there may be limited or no support, and the problem may have to be reproduced outside of virtualization",
        "SVVP がない場合、サポートは限定的か、受けられないことがあり、仮想化されていない環境での再現が必要になることがあります",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tabane_model::support::SupportMatrix;

    use super::*;

    #[test]
    fn each_condition_that_ships_is_translated_and_no_other() {
        let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap() + "/../../data/support";
        let mut shipped = BTreeSet::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let matrix: SupportMatrix = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
                shipped.extend(matrix.support.into_iter().filter_map(|entry| entry.condition));
            }
        }
        let known: BTreeSet<String> = JAPANESE.iter().map(|(english, _)| (*english).to_owned()).collect();
        assert_eq!(shipped, known);
        let told: BTreeSet<&str> = JAPANESE.iter().map(|(_, japanese)| *japanese).collect();
        assert_eq!(told.len(), JAPANESE.len(), "each says something else");
        let is_japanese = |text: &str| text.chars().any(|c| ('\u{3041}'..='\u{30ff}').contains(&c));
        for sentence in &shipped {
            assert_eq!(condition(Language::English, sentence), sentence);
            let japanese = condition(Language::Japanese, sentence);
            assert!(is_japanese(japanese) && !japanese.contains(" the "), "{japanese}");
        }
    }

    #[test]
    fn what_a_site_has_written_is_shown_as_it_is() {
        for sentence in ["", "with our contract 4711", "within the product's life cycle, says Bob"] {
            assert_eq!(condition(Language::Japanese, sentence), sentence);
        }
    }
}
