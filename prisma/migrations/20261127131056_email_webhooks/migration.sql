-- AlterEnum
ALTER TYPE "webhook_format" ADD VALUE 'EMAIL';

-- AlterTable
ALTER TABLE "webhook_endpoint" ADD COLUMN     "email_service_id" UUID;

-- CreateIndex
CREATE INDEX "webhook_endpoint_email_service_id_idx" ON "webhook_endpoint"("email_service_id");

-- AddForeignKey
ALTER TABLE "webhook_endpoint" ADD CONSTRAINT "webhook_endpoint_organization_id_email_service_id_fkey" FOREIGN KEY ("organization_id", "email_service_id") REFERENCES "email_service"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;
