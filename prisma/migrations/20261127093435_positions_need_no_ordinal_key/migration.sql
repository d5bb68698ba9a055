-- DropIndex
DROP INDEX "audit_entry_ordinal_key";

-- DropIndex
DROP INDEX "event_ordinal_key";
