"""Redfish: a card's BMC is asked and ordered over https (behaviour-provisioning.md section 9, BlueField-3)."""
