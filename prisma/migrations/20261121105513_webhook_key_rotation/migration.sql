-- DropForeignKey
ALTER TABLE "webhook_key" DROP CONSTRAINT "webhook_key_endpoint_id_fkey";

-- AlterTable
ALTER TABLE "webhook_key" ADD COLUMN     "fingerprint" TEXT,
ADD COLUMN     "organization_id" UUID;

-- A key is its endpoint's organization's.
UPDATE "webhook_key" k SET "organization_id" = e."organization_id" FROM "webhook_endpoint" e WHERE e."id" = k."endpoint_id";

-- AlterTable
ALTER TABLE "webhook_key" ALTER COLUMN "organization_id" SET NOT NULL;

-- Lanes of endpoints that went with their project; those that a Svix server knows end with its copy.
DELETE FROM "webhook_lane" l WHERE l."mirrored_version" IS NULL AND NOT EXISTS (SELECT 1 FROM "webhook_endpoint" e WHERE e."id" = l."endpoint_id");

-- CreateIndex
CREATE UNIQUE INDEX "webhook_key_organization_id_fingerprint_key" ON "webhook_key"("organization_id", "fingerprint");

-- AddForeignKey
ALTER TABLE "webhook_key" ADD CONSTRAINT "webhook_key_organization_id_endpoint_id_fkey" FOREIGN KEY ("organization_id", "endpoint_id") REFERENCES "webhook_endpoint"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- stamp_updated_at
CREATE OR REPLACE FUNCTION stamp_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('quayside.unstamped', true) IS DISTINCT FROM 'on' THEN
    NEW.updated_at := app_now();
  END IF;
  RETURN NEW;
END $$;
