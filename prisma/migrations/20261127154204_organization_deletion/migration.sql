-- AlterTable
ALTER TABLE "organization" ADD COLUMN     "deletion_requested_by" UUID;

-- audit_entry_append_only
CREATE OR REPLACE FUNCTION audit_entry_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  entry audit_entry := NEW;
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.position IS NULL AND NEW.position IS NOT NULL THEN
    entry.position := OLD.position;
    entry.hash := OLD.hash;
    IF entry *= OLD THEN
      RETURN NEW;
    END IF;
  END IF;
  IF TG_OP = 'DELETE' AND (
    OLD.position <= (SELECT removed_position FROM audit_chain WHERE organization_id = OLD.organization_id)
    OR EXISTS (SELECT 1 FROM organization WHERE id = OLD.organization_id AND deleting_at IS NOT NULL)) THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'audit entries are append-only';
END $$;
