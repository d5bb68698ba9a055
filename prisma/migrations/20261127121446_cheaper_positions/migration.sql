-- DropIndex
DROP INDEX "audit_entry_organization_id_position_key";

-- DropIndex
DROP INDEX "deployment_organization_id_id_idx";

-- DropIndex
DROP INDEX "event_position_key";

-- DropIndex
DROP INDEX "event_organization_id_position_idx";

-- CreateIndex
CREATE UNIQUE INDEX "audit_entry_organization_id_position_key" ON "audit_entry"("organization_id", "position") WHERE (position is not null);

-- CreateIndex
CREATE INDEX "event_organization_id_position_idx" ON "event"("organization_id", "position") WHERE (position is not null);

-- CreateIndex
CREATE UNIQUE INDEX "event_position_key" ON "event"("position") WHERE (position is not null);

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
  IF TG_OP = 'DELETE' AND OLD.position <= (SELECT removed_position FROM audit_chain WHERE organization_id = OLD.organization_id) THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'audit entries are append-only';
END $$;
