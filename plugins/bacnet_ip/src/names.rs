//! The words of the standard for its numbers.

use std::borrow::Cow;

/// Numbers and names, `number:name` with a space between them: read when something is to be said or
/// set up, never for an ordinary value.
pub(crate) struct Names(&'static str);

impl Names {
    fn pairs(&self) -> impl Iterator<Item = (u32, &'static str)> {
        self.0.split_ascii_whitespace().filter_map(|pair| {
            let (number, name) = pair.split_once(':')?;
            Some((number.parse().ok()?, name))
        })
    }

    /// The name of a number.
    pub(crate) fn name(&self, number: u32) -> Option<&'static str> {
        self.pairs().find(|(known, _)| *known == number).map(|(_, name)| name)
    }

    /// The number of a name, or of a number written out.
    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        // A thousand objects are looked up in one call: only the number that is meant is read.
        let found = self
            .0
            .split_ascii_whitespace()
            .find_map(|pair| pair.strip_suffix(name)?.strip_suffix(':'));
        found.unwrap_or(name).parse().ok()
    }

    /// The name of a number, or the number itself.
    pub(crate) fn text(&self, number: u32) -> Cow<'static, str> {
        self.name(number).map_or_else(|| number.to_string().into(), Cow::Borrowed)
    }
}

/// Object types: clause 21, BACnetObjectType.
pub(crate) const OBJECT_TYPES: Names = Names(
    "0:analog-input 1:analog-output 2:analog-value 3:binary-input 4:binary-output 5:binary-value \
    6:calendar 7:command 8:device 9:event-enrollment 10:file 11:group 12:loop \
    13:multi-state-input 14:multi-state-output 15:notification-class 16:program 17:schedule \
    18:averaging 19:multi-state-value 20:trend-log 21:life-safety-point 22:life-safety-zone \
    23:accumulator 24:pulse-converter 25:event-log 26:global-group 27:trend-log-multiple \
    28:load-control 29:structured-view 30:access-door 31:timer 32:access-credential \
    33:access-point 34:access-rights 35:access-user 36:access-zone 37:credential-data-input \
    38:network-security 39:bitstring-value 40:characterstring-value 41:date-pattern-value \
    42:date-value 43:datetime-pattern-value 44:datetime-value 45:integer-value \
    46:large-analog-value 47:octetstring-value 48:positive-integer-value 49:time-pattern-value \
    50:time-value 51:notification-forwarder 52:alert-enrollment 53:channel 54:lighting-output \
    55:binary-lighting-output 56:network-port 57:elevator-group 58:escalator 59:lift 60:staging \
    61:audit-log 62:audit-reporter",
);

/// Properties: clause 21, BACnetPropertyIdentifier; those of common objects.
pub(crate) const PROPERTIES: Names = Names(
    "0:acked-transitions 1:ack-required 2:action 3:action-text 4:active-text 5:active-vt-sessions \
    6:alarm-value 7:alarm-values 8:all 9:all-writes-successful 10:apdu-segment-timeout \
    11:apdu-timeout 12:application-software-version 13:archive 14:bias 15:change-of-state-count \
    16:change-of-state-time 17:notification-class 19:controlled-variable-reference \
    20:controlled-variable-units 21:controlled-variable-value 22:cov-increment 23:date-list \
    24:daylight-savings-status 25:deadband 26:derivative-constant 27:derivative-constant-units \
    28:description 29:description-of-halt 30:device-address-binding 31:device-type \
    32:effective-period 33:elapsed-active-time 34:error-limit 35:event-enable 36:event-state \
    37:event-type 38:exception-schedule 39:fault-values 40:feedback-value 41:file-access-method \
    42:file-size 43:file-type 44:firmware-revision 45:high-limit 46:inactive-text 47:in-process \
    48:instance-of 49:integral-constant 50:integral-constant-units \
    51:issue-confirmed-notifications 52:limit-enable 53:list-of-group-members \
    54:list-of-object-property-references 55:list-of-session-keys 56:local-date 57:local-time \
    58:location 59:low-limit 60:manipulated-variable-reference 61:maximum-output \
    62:max-apdu-length-accepted 63:max-info-frames 64:max-master 65:max-pres-value \
    66:minimum-off-time 67:minimum-on-time 68:minimum-output 69:min-pres-value 70:model-name \
    71:modification-date 72:notify-type 73:number-of-apdu-retries 74:number-of-states \
    75:object-identifier 76:object-list 77:object-name 78:object-property-reference \
    79:object-type 80:optional 81:out-of-service 82:output-units 83:event-parameters 84:polarity \
    85:present-value 86:priority 87:priority-array 88:priority-for-writing 89:process-identifier \
    90:program-change 91:program-location 92:program-state 93:proportional-constant \
    94:proportional-constant-units 96:protocol-object-types-supported \
    97:protocol-services-supported 98:protocol-version 99:read-only 100:reason-for-halt \
    102:recipient-list 103:reliability 104:relinquish-default 105:required 106:resolution \
    107:segmentation-supported 108:setpoint 109:setpoint-reference 110:state-text \
    111:status-flags 112:system-status 113:time-delay 114:time-of-active-time-reset \
    115:time-of-state-count-reset 116:time-synchronization-recipients 117:units \
    118:update-interval 119:utc-offset 120:vendor-identifier 121:vendor-name \
    122:vt-classes-supported 123:weekly-schedule 124:attempted-samples 125:average-value \
    126:buffer-size 127:client-cov-increment 128:cov-resubscription-interval \
    130:event-time-stamps 131:log-buffer 132:log-device-object-property 133:enable \
    134:log-interval 135:maximum-value 136:minimum-value 137:notification-threshold \
    139:protocol-revision 140:records-since-notification 141:record-count 142:start-time \
    143:stop-time 144:stop-when-full 145:total-record-count 146:valid-samples \
    147:window-interval 148:window-samples 149:maximum-value-timestamp \
    150:minimum-value-timestamp 151:variance-value 152:active-cov-subscriptions \
    153:backup-failure-timeout 154:configuration-files 155:database-revision 156:direct-reading \
    157:last-restore-time 158:maintenance-required 159:member-of 160:mode 161:operation-expected \
    162:setting 163:silenced 164:tracking-value 165:zone-members 166:life-safety-alarm-values \
    167:max-segments-accepted 168:profile-name 197:logging-type \
    204:time-synchronization-interval 205:trigger 206:utc-time-synchronization-recipients \
    207:node-subtype 208:node-type 209:structured-object-list 210:subordinate-annotations \
    211:subordinate-list 212:actual-shed-level 218:requested-shed-level 219:shed-duration \
    222:state-description 226:door-alarm-state 227:door-extended-pulse-time 228:door-members \
    351:event-message-texts 352:event-message-texts-config 353:event-detection-enable \
    354:event-algorithm-inhibit 355:event-algorithm-inhibit-ref 356:time-delay-normal \
    357:reliability-evaluation-inhibit 358:fault-parameters 359:fault-type 371:property-list \
    431:current-command-priority 432:last-command-time 433:value-source 434:value-source-array \
    435:bacnet-ipv6-mode",
);

/// Error classes: clause 18, clause 21.
pub(crate) const ERROR_CLASSES: Names =
    Names("0:device 1:object 2:property 3:resources 4:security 5:services 6:vt 7:communication");

/// Error codes: clause 18, clause 21.
pub(crate) const ERROR_CODES: Names = Names(
    "0:other 2:configuration-in-progress 3:device-busy 4:dynamic-creation-not-supported \
    5:file-access-denied 7:inconsistent-parameters 8:inconsistent-selection-criterion \
    9:invalid-datatype 10:invalid-file-access-method 11:invalid-file-start-position \
    13:invalid-parameter-datatype 14:invalid-time-stamp 16:missing-required-parameter \
    17:no-objects-of-specified-type 18:no-space-for-object 19:no-space-to-add-list-element \
    20:no-space-to-write-property 21:no-vt-sessions-available 22:property-is-not-a-list \
    23:object-deletion-not-permitted 24:object-identifier-already-exists 25:operational-problem \
    26:password-failure 27:read-access-denied 29:service-request-denied 30:timeout \
    31:unknown-object 32:unknown-property 34:unknown-vt-class 35:unknown-vt-session \
    36:unsupported-object-type 37:value-out-of-range 38:vt-session-already-closed \
    39:vt-session-termination-failure 40:write-access-denied 41:character-set-not-supported \
    42:invalid-array-index 43:cov-subscription-failed 44:not-cov-property \
    45:optional-functionality-not-supported 46:invalid-configuration-data \
    47:datatype-not-supported 48:duplicate-name 49:duplicate-object-id \
    50:property-is-not-an-array 51:abort-buffer-overflow 52:abort-invalid-apdu-in-this-state \
    53:abort-preempted-by-higher-priority-task 54:abort-segmentation-not-supported \
    55:abort-proprietary 56:abort-other 57:invalid-tag 58:network-down 59:reject-buffer-overflow \
    60:reject-inconsistent-parameters 61:reject-invalid-parameter-data-type \
    62:reject-invalid-tag 63:reject-missing-required-parameter 64:reject-parameter-out-of-range \
    65:reject-too-many-arguments 66:reject-undefined-enumeration 67:reject-unrecognized-service \
    68:reject-proprietary 69:reject-other 70:unknown-device 71:unknown-route \
    72:value-not-initialized 73:invalid-event-state 74:no-alarm-configured 75:log-buffer-full \
    76:logged-value-purged 77:no-property-specified 78:not-configured-for-triggered-logging \
    79:unknown-subscription 80:parameter-out-of-range 81:list-element-not-found 82:busy \
    83:communication-disabled 84:success 85:access-denied 86:bad-destination-address \
    87:bad-destination-device-id 88:bad-signature 89:bad-source-address 95:duplicate-message \
    96:encryption-not-configured 97:encryption-required 101:malformed-message \
    103:security-not-configured 104:source-security-required 106:unknown-authentication-type \
    110:not-router-to-dnet 111:router-busy 112:unknown-network-message 113:message-too-long \
    114:security-error 115:addressing-error 116:write-bdt-failed 117:read-bdt-failed \
    118:register-foreign-device-failed 119:read-fdt-failed 120:delete-fdt-entry-failed \
    121:distribute-broadcast-failed 122:unknown-file-size 123:abort-apdu-too-long \
    124:abort-application-exceeded-reply-time 125:abort-out-of-resources 126:abort-tsm-timeout \
    127:abort-window-size-out-of-range 128:file-full 129:inconsistent-configuration \
    130:inconsistent-object-type 131:internal-error 132:not-configured 133:out-of-memory \
    134:value-too-long 135:abort-insufficient-security 136:abort-security-error \
    137:duplicate-entry 138:invalid-value-in-this-state 140:list-item-not-numbered \
    141:list-item-not-timestamped 142:invalid-data-encoding 143:bvlc-function-unknown \
    144:bvlc-proprietary-function-unknown 145:header-encoding-error 146:header-not-understood \
    147:message-incomplete 148:not-a-bacnet-sc-hub 149:payload-expected 150:unexpected-data \
    151:node-duplicate-vmac",
);

/// Reasons of a Reject: clause 18.9.
pub(crate) const REJECT_REASONS: Names = Names(
    "0:other 1:buffer-overflow 2:inconsistent-parameters 3:invalid-parameter-datatype \
    4:invalid-tag 5:missing-required-parameter 6:parameter-out-of-range 7:too-many-arguments \
    8:undefined-enumeration 9:unrecognized-service",
);

/// Reasons of an Abort: clause 18.10.
pub(crate) const ABORT_REASONS: Names = Names(
    "0:other 1:buffer-overflow 2:invalid-apdu-in-this-state 3:preempted-by-higher-priority-task \
    4:segmentation-not-supported 5:security-error 6:insufficient-security \
    7:window-size-out-of-range 8:application-exceeded-reply-time 9:out-of-resources \
    10:tsm-timeout 11:apdu-too-long",
);

/// What a device can segment: clause 21, BACnetSegmentation.
pub(crate) const SEGMENTATIONS: Names =
    Names("0:segmented-both 1:segmented-transmit 2:segmented-receive 3:no-segmentation");

/// Confirmed services: clause 21, BACnetConfirmedServiceChoice.
pub(crate) const SERVICES: Names = Names(
    "0:acknowledge-alarm 1:confirmed-cov-notification 2:confirmed-event-notification \
    3:get-alarm-summary 4:get-enrollment-summary 5:subscribe-cov 6:atomic-read-file \
    7:atomic-write-file 8:add-list-element 9:remove-list-element 10:create-object \
    11:delete-object 12:read-property 14:read-property-multiple 15:write-property \
    16:write-property-multiple 17:device-communication-control 18:confirmed-private-transfer \
    19:confirmed-text-message 20:reinitialize-device 21:vt-open 22:vt-close 23:vt-data \
    26:read-range 27:life-safety-operation 28:subscribe-cov-property 29:get-event-information \
    30:subscribe-cov-property-multiple 31:confirmed-cov-notification-multiple",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_find_each_other() {
        assert_eq!(PROPERTIES.number("present-value"), Some(85));
        assert_eq!(PROPERTIES.name(85), Some("present-value"));
        assert_eq!(PROPERTIES.number("9999"), Some(9999));
        assert_eq!(PROPERTIES.number("no-such-thing"), None);
        assert_eq!(OBJECT_TYPES.text(400), "400");
        assert_eq!(ERROR_CODES.text(31), "unknown-object");
    }

    #[test]
    fn every_pair_of_every_table_is_read_and_none_stands_twice() {
        for names in [&OBJECT_TYPES, &PROPERTIES, &ERROR_CODES, &SERVICES, &ABORT_REASONS] {
            let pairs: Vec<_> = names.pairs().collect();
            assert_eq!(pairs.len(), names.0.split_ascii_whitespace().count());
            assert!(pairs.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }
}
