use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;
use crate::settings::testing::Place;
use crate::settings::{Runtime, Settings};

const WRITE: &[&str] = &["sandbox", "filesystem", "allowWrite"];
const DENY: &[&str] = &["sandbox", "filesystem", "denyWrite"];

#[test]
fn an_entry_is_added_and_removed_with_comments_order_and_layout_kept() {
    let table = [
        (
            "an empty file",
            "",
            "{\n  \"sandbox\": {\n    \"filesystem\": {\n      \"allowWrite\": [\n        \"/out\"\n      ]\n    }\n  }\n}\n",
        ),
        (
            "only a comment",
            "// mine\n",
            "// mine\n{\n  \"sandbox\": {\n    \"filesystem\": {\n      \"allowWrite\": [\n        \"/out\"\n      ]\n    }\n  }\n}\n",
        ),
        (
            "comments everywhere, tabs, a trailing comma",
            "/* top */\n{\n\t// before\n\t\"sandbox\": { // beside\n\t\t\"filesystem\": {\n\t\t\t\"allowWrite\": [\n\t\t\t\t\"/a\", // why\n\t\t\t],\n\t\t\t\"denyRead\": [\"/z\"]\n\t\t}\n\t}\n\t// end\n}\n",
            "/* top */\n{\n\t// before\n\t\"sandbox\": { // beside\n\t\t\"filesystem\": {\n\t\t\t\"allowWrite\": [\n\t\t\t\t\"/a\", // why\n\t\t\t\t\"/out\",\n\t\t\t],\n\t\t\t\"denyRead\": [\"/z\"]\n\t\t}\n\t}\n\t// end\n}\n",
        ),
        (
            "other keys first",
            "{\n    \"commandAllowlist\": [\"ls\"],\n    \"sandbox\": {}\n}",
            "{\n    \"commandAllowlist\": [\"ls\"],\n    \"sandbox\": {\n        \"filesystem\": {\n            \"allowWrite\": [\n                \"/out\"\n            ]\n        }\n    }\n}\n",
        ),
        (
            "a list on one line",
            "{\"sandbox\": {\"filesystem\": {\"allowWrite\": [\"/a\", \"/b\"]}}}\n",
            "{\"sandbox\": {\"filesystem\": {\"allowWrite\": [\"/a\", \"/b\", \"/out\"]}}}\n",
        ),
    ];
    for (label, before, after) in table {
        let place = Place::new();
        let file = place.write(&place.locations.user_file(), before);
        assert_eq!(add(&place.locations, &file, WRITE, "/out").unwrap(), Change::Made, "{label}");
        assert_eq!(fs::read_to_string(&file).unwrap(), after, "{label}");
        assert_eq!(add(&place.locations, &file, WRITE, "/out").unwrap(), Change::None, "{label}");
        assert_eq!(fs::read_to_string(&file).unwrap(), after, "{label}: added twice");

        assert_eq!(remove(&place.locations, &file, WRITE, "/out").unwrap(), Change::Made, "{label}");
        let left = fs::read_to_string(&file).unwrap();
        assert!(!left.contains("/out"), "{label}: {left}");
        for comment in ["/* top */", "// before", "// beside", "// why", "// end", "// mine"] {
            assert_eq!(before.contains(comment), left.contains(comment), "{label}: {left}");
        }
        understand(&file, left.as_bytes()).unwrap();
        assert_eq!(remove(&place.locations, &file, WRITE, "/out").unwrap(), Change::None, "{label}");
    }
}
