//! What every connector promises, tested over any of them: each public function of the modules
//! that [`contract`] lists is one promise of the traits' documentation. A connector registers with a [`Harness`] and one line: `contract!(MyHarness);`.

pub(crate) mod bounds;
pub(crate) mod catalog;
pub(crate) mod cells;
pub(crate) mod changes;
pub(crate) mod columns;
pub(crate) mod commits;
pub(crate) mod harness;
pub(crate) mod modes;
pub(crate) mod reading;
pub(crate) mod writing;

pub(crate) use harness::{Abilities, Harness, Reading};

/// Makes one test of every promise. The harness needs a `new() -> Self` over a fresh place.
macro_rules! contract {
    ($harness:ty) => {
        crate::contract::promises! { $harness, bounds:
            slices_leave_no_gaps_and_split_no_equal_values,
            a_tie_splits_equal_values,
            bytes_limit_slices,
            a_run_ends_at_its_first_head,
            a_position_past_the_head_is_no_news,
            a_slice_is_the_same_however_others_write,
            a_unit_is_read_again_alike,
            an_overlap_meets_late_rows,
            a_start_leaves_older_rows_out,
            an_empty_source_is_no_error,
            a_whole_table_is_one_snapshot_a_run,
            a_log_is_read_whole_where_it_is_asked_for,
        }
        crate::contract::promises! { $harness, changes:
            another_source_is_refused,
            a_source_made_again_is_refused,
            a_source_made_again_behind_the_position_is_refused,
            a_source_that_shrank_is_refused,
            a_unit_keeps_its_schema,
            what_is_missing_is_not_found,
            a_reading_that_cannot_be_is_refused,
            names_of_our_own_are_refused,
            changed_wakes,
            waiting_ends_with_the_table,
        }
        crate::contract::promises! { $harness, cells:
            rows_come_in_order_and_counted,
            cursors_keep_every_digit,
            null_in_a_cursor_is_bad_data,
            bad_rows_are_named_and_kept,
            null_values_are_null,
            unlisted_columns,
            without_a_contract_the_declared_types_hold,
            wall_clock_times_are_in_the_projects_zone,
            any_name_is_read,
            a_dropped_stream_disturbs_nothing,
        }
        crate::contract::promises! { $harness, commits:
            peek_makes_nothing,
            claim_makes_the_target,
            staged_rows_are_seen_by_checks_alone,
            a_commit_shows_rows_and_record,
            a_dropped_stage_is_nothing,
            a_failed_stream_is_nothing,
            an_empty_unit_moves_the_record,
            of_two_claims_one_commits,
            the_same_attempt_commits_once,
            a_unit_is_staged_while_the_one_before_commits,
            tracks_share_a_table,
            rows_without_a_record_are_refused,
            set_record_compares,
            many_commits_and_maintenance_keep_everything,
            a_new_connection_goes_on,
            racing_tracks_lose_nothing,
            records_are_listed_by_prefix,
        }
        crate::contract::promises! { $harness, modes:
            modes_that_cannot_be_are_refused,
            merge_keeps_the_last_row,
            merge_deletes_for_good,
            merge_marks_the_deleted,
            merge_by_several_columns,
            a_null_in_a_key_is_never_doubled,
            merge_anew_leaves_nothing_old,
            replace_is_whole,
            replace_by_partition_spares_the_others,
            window_replaces_its_range,
            windows_are_whole,
        }
        crate::contract::promises! { $harness, columns:
            types_come_back_cell_by_cell,
            types_that_cannot_be_kept_are_refused,
            dates_out_of_reach_are_bad_data,
            named_types_win,
            a_changed_schema_fails,
            a_changed_schema_evolves,
            types_widen,
            a_changed_schema_is_ignored,
            any_name_is_written,
            names_of_our_own_are_refused,
        }
        crate::contract::promises! { $harness, catalog:
            committed_rows_alone_are_seen,
            new_tables_are_found,
            book_keeping_is_hidden,
            answers_equal_a_full_scan,
            the_place_answers,
        }
    };
}
pub(crate) use contract;

/// One test for each promise of a module.
macro_rules! promises {
    ($harness:ty, $module:ident: $($promise:ident,)*) => {
        mod $module {
            #[allow(unused_imports)]
            use super::*;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    crate::contract::$module::$promise(&<$harness>::new()).await;
                }
            )*
        }
    };
}
pub(crate) use promises;
