-- AlterTable
ALTER TABLE "odoo_account" ADD COLUMN     "is_local" BOOLEAN;

-- Accounts of services, also of services that are deleted: the audit log names the service that was saved last.
UPDATE "odoo_account" a SET "is_local" = "web_service_id" IS NOT NULL OR (
  SELECT e."after" ->> 'webServiceId' FROM "audit_entry" e
  WHERE e."target_id" = a."id" AND e."outcome" = 'SUCCEEDED' AND e."after"::jsonb ? 'webServiceId'
  ORDER BY e."ordinal" DESC LIMIT 1
) IS NOT NULL;

ALTER TABLE "odoo_account" ALTER COLUMN "is_local" SET NOT NULL;
