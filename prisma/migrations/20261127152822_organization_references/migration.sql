-- DropForeignKey
ALTER TABLE "webhook_attempt" DROP CONSTRAINT "webhook_attempt_message_id_fkey";

-- DropForeignKey
ALTER TABLE "backup" DROP CONSTRAINT "backup_environment_id_fkey";

-- DropForeignKey
ALTER TABLE "backup" DROP CONSTRAINT "backup_database_id_fkey";

-- DropForeignKey
ALTER TABLE "backup_schedule" DROP CONSTRAINT "backup_schedule_database_id_fkey";

-- DropForeignKey
ALTER TABLE "restore" DROP CONSTRAINT "restore_database_id_fkey";

-- DropForeignKey
ALTER TABLE "restore" DROP CONSTRAINT "restore_source_id_fkey";

-- DropForeignKey
ALTER TABLE "webhook_delivery" DROP CONSTRAINT "webhook_delivery_message_id_fkey";

-- DropForeignKey
ALTER TABLE "deployment" DROP CONSTRAINT "deployment_restores_id_fkey";

-- DropForeignKey
ALTER TABLE "secret_version" DROP CONSTRAINT "secret_version_secret_id_fkey";

-- DropIndex
DROP INDEX "environment_organization_id_id_idx";

-- DropIndex
DROP INDEX "webhook_message_organization_id_id_idx";

-- AlterTable
ALTER TABLE "idempotency" ADD COLUMN     "organization_id" UUID;
UPDATE "idempotency" i SET "organization_id" = k."organization_id" FROM "api_key" k WHERE i."principal" = 'api_key:' || k."id";
UPDATE "idempotency" i SET "organization_id" = k."organization_id" FROM "email_api_key" k WHERE i."principal" = 'email_api_key:' || k."id";
DELETE FROM "idempotency" WHERE "organization_id" IS NULL;
ALTER TABLE "idempotency" DROP CONSTRAINT "idempotency_pkey",
ALTER COLUMN "organization_id" SET NOT NULL,
ADD CONSTRAINT "idempotency_pkey" PRIMARY KEY ("organization_id", "principal", "operation", "key");

-- CreateIndex
CREATE UNIQUE INDEX "database_organization_id_id_key" ON "database"("organization_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "environment_organization_id_id_key" ON "environment"("organization_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "webhook_message_organization_id_id_key" ON "webhook_message"("organization_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "secret_organization_id_id_key" ON "secret"("organization_id", "id");

-- AddForeignKey
ALTER TABLE "webhook_attempt" ADD CONSTRAINT "webhook_attempt_organization_id_message_id_fkey" FOREIGN KEY ("organization_id", "message_id") REFERENCES "webhook_message"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "backup_schedule" ADD CONSTRAINT "backup_schedule_organization_id_database_id_fkey" FOREIGN KEY ("organization_id", "database_id") REFERENCES "database"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "restore" ADD CONSTRAINT "restore_organization_id_database_id_fkey" FOREIGN KEY ("organization_id", "database_id") REFERENCES "database"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "webhook_delivery" ADD CONSTRAINT "webhook_delivery_organization_id_message_id_fkey" FOREIGN KEY ("organization_id", "message_id") REFERENCES "webhook_message"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "secret_version" ADD CONSTRAINT "secret_version_organization_id_secret_id_fkey" FOREIGN KEY ("organization_id", "secret_id") REFERENCES "secret"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- deployment_restores_id_fkey
ALTER TABLE deployment ADD CONSTRAINT deployment_restores_id_fkey FOREIGN KEY (organization_id, restores_id) REFERENCES deployment (organization_id, id) ON DELETE SET NULL (restores_id);

-- backup_environment_id_fkey
ALTER TABLE backup ADD CONSTRAINT backup_environment_id_fkey FOREIGN KEY (organization_id, environment_id) REFERENCES environment (organization_id, id) ON DELETE SET NULL (environment_id);

-- backup_database_id_fkey
ALTER TABLE backup ADD CONSTRAINT backup_database_id_fkey FOREIGN KEY (organization_id, database_id) REFERENCES database (organization_id, id) ON DELETE SET NULL (database_id);

-- restore_source_id_fkey
ALTER TABLE restore ADD CONSTRAINT restore_source_id_fkey FOREIGN KEY (organization_id, source_id) REFERENCES database (organization_id, id) ON DELETE SET NULL (source_id);
