-- AlterTable
ALTER TABLE "deployment" ADD COLUMN     "operation_id" UUID;

-- CreateIndex
CREATE INDEX "deployment_operation_id_id_idx" ON "deployment"("operation_id", "id");
