-- CreateEnum
CREATE TYPE "audit_outcome" AS ENUM ('SUCCEEDED', 'DENIED', 'FAILED');

-- AlterTable
ALTER TABLE "audit_entry" ADD COLUMN     "after" JSON,
ADD COLUMN     "before" JSON,
ADD COLUMN     "door" TEXT,
ADD COLUMN     "ip_address" TEXT,
ADD COLUMN     "outcome" "audit_outcome" NOT NULL DEFAULT 'SUCCEEDED',
ADD COLUMN     "target_name" TEXT,
ADD COLUMN     "user_agent" TEXT,
ADD COLUMN     "user_id" UUID;

-- AlterTable
ALTER TABLE "audit_chain" ADD COLUMN     "removed_at" TIMESTAMPTZ(3),
ADD COLUMN     "removed_hash" BYTEA,
ADD COLUMN     "removed_position" BIGINT NOT NULL DEFAULT 0;

-- CreateIndex
CREATE INDEX "audit_entry_newest_idx" ON "audit_entry"("organization_id", "id") WHERE (position is not null);

-- CreateIndex
CREATE INDEX "audit_entry_action_idx" ON "audit_entry"("organization_id", "action", "id") WHERE (position is not null);

-- CreateIndex
CREATE INDEX "audit_entry_target_idx" ON "audit_entry"("organization_id", "target_id", "id") WHERE (position is not null);

-- CreateIndex
CREATE INDEX "audit_entry_target_type_idx" ON "audit_entry"("organization_id", "target_type", "id") WHERE (position is not null);

-- CreateIndex
CREATE INDEX "audit_entry_actor_idx" ON "audit_entry"("organization_id", "actor_id", "id") WHERE (position is not null);

-- CreateIndex
CREATE INDEX "audit_entry_refused_idx" ON "audit_entry"("organization_id", "outcome", "id") WHERE (position is not null and outcome <> 'SUCCEEDED');

-- audit_entry_append_only
CREATE OR REPLACE FUNCTION audit_entry_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.position IS NULL AND NEW.position IS NOT NULL
     AND to_jsonb(NEW) - 'position' - 'hash' = to_jsonb(OLD) - 'position' - 'hash' THEN
    RETURN NEW;
  END IF;
  IF TG_OP = 'DELETE' AND OLD.position <= (SELECT removed_position FROM audit_chain WHERE organization_id = OLD.organization_id) THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'audit entries are append-only';
END $$;
