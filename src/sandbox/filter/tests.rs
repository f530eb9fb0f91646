use super::*;

const LEAST: FilterPlan = FilterPlan { trap_reads: false, trap_exec: false, trap_receives: false, trap_signals: false };
const MOST: FilterPlan = FilterPlan { trap_reads: true, trap_exec: true, trap_receives: true, trap_signals: true };

#[test]
fn every_number_has_one_row() {
    for plan in [LEAST, MOST] {
        let rows = rows::rows(plan);
        for pair in rows.windows(2) {
            assert!(pair[0].nr < pair[1].nr, "{} twice", pair[0].nr);
        }
    }
}

#[test]
fn the_largest_filter_fits() {
    let length = Filter::compile(MOST).unwrap().program().len();
    assert!(length < 4096, "{length}");
}
